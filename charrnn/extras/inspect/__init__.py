"""What a trained model does with a passage: what `charrnn inspect` shows.

activations       what each unit is after each character, and how surprised the model was
features          what can be said of each character of a text: inside quotes, upper case, ...
correlation       which unit follows which feature, and how closely a unit would by chance
gates             how often each unit's gates are wide open or shut
distance          the loss by how much of the text was read before; the characters in a plane
passage_report    all of it, with the training's curves and samples, as values and as one page
"""
