"""Probabilities of classes from predicted targets, by one temperature.

Predicted targets, one-hot labels minus 1/k, are divided by a temperature T and passed to a softmax
(Guo et al., "On Calibration of Modern Neural Networks", 2017).  With two classes, only the second's
target is predicted, and the first's is its negative.  T is the likeliest temperature for
predictions of rows that were not fitted to.  If none of n rows is misclassified, it would be 0, so
labels are smoothed, as though one row in n + 1 had a class drawn at random (compare Platt,
"Probabilistic Outputs for Support Vector Machines", 1999, whose two pseudo-rows are too many for
ten classes).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# Natural logarithms of the smallest and largest 1 / T, for predictions of up to 1.
_BOUNDS = (-10.0, 15.0)

# Approximate number of rows to predict, where each adds to the cost.
_MOST = 1000


def log_probabilities(decisions, temperature):
    """Return log-probabilities (m, k) for predicted targets (m, k), or (m,) for two classes."""
    return log_softmax(_columns(decisions) / temperature, axis=1)


def fit_temperature(decisions, targets, sample_weight=None):
    """Return the likeliest temperature.

    Parameters
    ----------
    decisions, targets : ndarray (n, k), or (n,) for two classes
        Predicted targets of rows that were not fitted to, and their true targets.
    sample_weight : ndarray (n,) or None

    Returns
    -------
    float
        1 if nothing is known: without rows, or if all predictions are 0.
    """
    decisions, targets = _columns(decisions), _columns(targets)
    weights = np.ones(len(targets)) if sample_weight is None else sample_weight
    seen = (weights > 0) & np.isfinite(decisions).all(axis=1)
    decisions, targets, weights = decisions[seen], targets[seen], weights[seen]
    if not decisions.any():
        return 1.0
    unit = np.abs(decisions).max()
    decisions = decisions / unit
    # Weights count rows; if they are too small for that, the effective number of rows counts.
    k, total = targets.shape[1], max(weights.sum(), weights.sum() ** 2 / np.sum(weights**2))
    is_class = targets == targets.max(axis=1, keepdims=True)
    labels = (total * is_class + 1 / k) / (total + 1)

    def loss(log_inverse):
        logarithms = log_softmax(np.exp(log_inverse) * decisions, axis=1)
        return -(weights @ (labels * logarithms).sum(axis=1)) / weights.sum()

    best = minimize_scalar(loss, bounds=_BOUNDS, method="bounded", options={"xatol": 1e-8})
    return float(unit * np.exp(-best.x))


def rows_to_leave_out(targets, sample_weight, landmarks, random_state):
    """Return up to 1000 random rows with a weight, keeping the shares of the classes.

    Landmarks are avoided if possible: new images have no functions of their own in the basis.
    """
    rows = _weighted_rows(targets, sample_weight)
    others = np.setdiff1d(rows, landmarks)
    rows = others if len(others) else rows
    return _thinned(rows, targets, random_state, max(1, -(-len(rows) // _MOST)), 1)[0]


def folds_to_hold_out(targets, sample_weight, random_state):
    """Return groups of such rows, at most a fifth of all each, with up to about 1000 rows."""
    rows = _weighted_rows(targets, sample_weight)
    step = max(5, -(-len(rows) // _MOST))
    if len(rows) < 2:
        return []
    n_groups = min(5, round(_MOST * step / len(rows)))
    groups = _thinned(rows, targets, random_state, step, n_groups)
    return [group for group in groups if len(group)]


def predict_by_folds(folds, targets, predict):
    """Return the rows of all groups, and ``predict(rows)`` of each group in turn."""
    rows = np.concatenate([np.arange(0), *folds])
    return rows, np.concatenate([targets[:0], *map(predict, folds)])


def _weighted_rows(targets, sample_weight):
    rows = np.arange(len(targets))
    return rows if sample_weight is None else rows[sample_weight > 0]


def _thinned(rows, targets, random_state, step, n_groups):
    """Return disjoint groups of every `step`-th row, keeping the shares of the classes."""
    classes = _columns(targets).argmax(axis=1)
    shuffled = random_state.permutation(rows)
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    return [np.sort(by_class[start::step]) for start in range(n_groups)]


def _columns(decisions):
    """Return predicted targets with one column per class."""
    return decisions if decisions.ndim == 2 else np.stack([-decisions, decisions], axis=1)
