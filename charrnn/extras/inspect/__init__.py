"""What a trained model does with a passage: what `charrnn inspect` shows.

activations       what each unit is after each character, how surprised the model was, its gates
features          what can be said of each character of a text: inside quotes, upper case, ...
correlation       which unit follows which feature, and how closely a unit would by chance
distance          the loss by how much of the text was read before
passage_report    all of it as plain values
inspect_page      the page
"""
