"""What a trained model does with a passage: what `charrnn inspect` shows.

activations       what each unit is after each character, and how surprised the model was
features          what can be said of each character of a text: inside quotes, upper case, ...
correlation       which unit follows which feature, and how closely a unit would by chance
gates             how often each unit's gates are wide open or shut
ngram             a model that counts, to compare with
distance          the loss by how much of the text was read before
embedding         the characters' vectors in a plane
training_history  what the run folder tells of the training: its card, curves and samples
passage_report    all of it, as plain values
inspect_page      and as one HTML page
"""
