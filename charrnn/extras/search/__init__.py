"""A hyperparameter search with Optuna: ``sweep=random|tpe`` (extra ``sweep``)."""
