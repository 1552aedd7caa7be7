"""A sweep whose jobs a study of Optuna's chooses: ``sweep=random|tpe|halving`` (extra ``sweep``).

search    the sweep: trials from the study to Hydra's launcher, and back
pruning   the callback that ends bad trials early
"""
