"""How much of a text is copied from the text that a model was trained on, and text that is not.

training_text    where the training text of a model is, and whether a passage stands in it
novelty_report   the shares, passages and words of a text that are copied, and their curve
novel_writing    text without long runs of the training text
novelty_step     all this in `charrnn sample`
"""
