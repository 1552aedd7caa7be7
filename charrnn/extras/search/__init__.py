"""A sweep whose jobs a study of Optuna's chooses: ``sweep=random|tpe|halving`` (extra ``sweep``).

search           the sweep: trials from the study to Hydra's launcher, and back
search_space     from Hydra's grammar to Optuna's distributions
study            the study in the sweep's folder, on which several processes may work
pruning          the callback that ends bad trials early
search_sweep_end plots, and the best trial as a file of conf/experiment/, when the sweep ends
"""
