"""The search for better parameters, `make tune`. Only this package imports Optuna.

Its terms, from the top down:

study: everything that is known about one model on one data set, with one default and one search space. It is kept in a
database, and several commands and machines may work on it together.
search: the first part of a study. Trials are drawn from the search space and evaluated on one fold.
trial: one parameter set, written as overrides of the default's parameters.
resource, rung: the resource of a trial is the seconds of a fit. It is fitted at the lowest rung, which has the fewest,
and is promoted from rung to rung while it is among the best there. Each fit starts from new weights. A trial that is
not promoted is pruned. This is asynchronous successive halving (L. Li et al., 2020, A system for massively parallel
hyperparameter tuning, MLSys).
finalists: the trials with the best objective values on the highest rung that was reached.
confirmation: the second part of a study. Its fits have the highest rung's seconds. The finalists and the default are
fitted once more on the search fold. If a finalist is the best of them, it is the leader: it and the default are then
fitted on all other folds from further seeds.
verdict: whether the leader replaces the default. It does if its gain is above 0 in a one-sided test at the 5 % level.
"""
