"""A sweep whose jobs a study of Optuna's chooses: ``sweep=random|tpe`` (extra ``sweep``)."""
