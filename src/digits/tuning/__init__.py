"""The search for better parameters, `make tune`. Only this room imports Optuna.

The words of this room, from the top down:

study: everything that is known about one model on one data set, with one default and one search space. It is kept in a
database, and several commands and machines may work on it together.
search: the first part of a study. Trials are drawn from the search space and evaluated on one fold.
trial: one parameter set, written as overrides of the default's parameters.
resource, rung: the resource of a trial is its epochs. It is fitted at the lowest rung, which has the fewest epochs, and
is promoted from rung to rung while it is among the best there. Each fit starts from new weights. A trial that is not
promoted is pruned. This is asynchronous successive halving (L. Li et al., 2020, A system for massively parallel
hyperparameter tuning, MLSys).
finalists: the trials with the best objective values on the highest rung that was reached.
confirmation: the second part of a study. The default and the finalists, together the candidates, are fitted with the
highest rung's epochs on all folds, then the default and the best finalist from further seeds too.
verdict: whether the best finalist replaces the default, which it does if the 95 % interval of its gain lies above 0.
"""
