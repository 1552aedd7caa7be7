"""How much of a text is copied from the text that a model was trained on, and text that is not.

training_text    a training text that says in microseconds whether a passage stands in it
training_source  where the training text of a model is found
novelty_report   the shares, passages and words of a text that are copied and that are new
novelty_plot     the curve of a report
novel_writing    text without long runs of the training text
novelty_step     all this in `charrnn sample`
"""
