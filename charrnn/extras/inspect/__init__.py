"""What a trained model does with a passage: what `charrnn inspect` shows.

activations       what each unit is after each character, its gates, losses by what was read before
features          what can be said of each character of a text: inside quotes, upper case, ...
correlation       which unit follows which feature, and how closely a unit would by chance
passage_report    all of it as plain values
inspect_page      the page
"""
