"""A sweep whose jobs a study of Optuna's chooses: ``sweep=random|tpe|halving`` (extra ``sweep``).

search            the sweep: trials from the study to Hydra's launcher, and back
search_space      from Hydra's grammar to Optuna's distributions
pruning           the callback that ends bad trials early
search_sweep_end  plots, and the command that trains the best, when the sweep ends
"""
