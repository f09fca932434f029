"""Scores of the candidates of a search, from their Gram matrices."""

import time
import warnings
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import LinAlgError, eigh
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning

from .._linalg.ridge import ridge_dual
from .._linalg.threads import one_thread
from .calibration import fit_temperature
from .intercept import mean_target


def leave_one_out(K, targets, alphas, fit_intercept=False):
    """Predictions of each row by regression on the others, for every ridge.

    With K + λ = Q (Λ + λ) Qᵀ, row i misses its target by c_i / G_ii, where c are the dual
    coefficients and G is the inverse of K + λ (Rifkin and Lippert, "Notes on Regularized Least
    Squares", 2007): one eigendecomposition serves all ridges.  λ is relative to the mean of the
    whole diagonal, as in `ridge_dual`.

    Returns
    -------
    ndarray (len(alphas), n) or (len(alphas), n, k)
        NaN for ridges with which the matrix is singular to working precision.
    """
    if not fit_intercept:
        return _leave_one_out(K, targets, alphas)
    # Predictions are linear in the targets.  Without row i these have a mean of their own, which
    # lies `shift` above that of all: p(y - shift) + shift = p(y) + shift (1 - p(1)).
    mean = mean_target(targets)
    centred = (targets - mean).reshape(len(targets), -1)
    shift = -centred / (len(K) - 1) if len(K) > 1 else -mean
    predicted = _leave_one_out(K, np.column_stack([centred, np.ones(len(K))]), alphas)
    predicted = predicted[..., :-1] + shift * (1 - predicted[..., -1:])
    return predicted.reshape(len(alphas), *targets.shape) + mean


def _leave_one_out(K, targets, alphas):
    mean = np.mean(K.diagonal())
    eigenvalues, Q = eigh(K, check_finite=False)
    projected = Q.T @ targets
    squares = Q**2
    predictions = np.full((len(alphas), *targets.shape), np.nan)
    # What rounding makes of eigenvalues of 0.
    smallest = np.finfo(np.float64).eps * len(K) * abs(eigenvalues).max()
    for prediction, alpha in zip(predictions, alphas, strict=True):
        shifted = eigenvalues + alpha * (mean if mean > 0 else 1.0)
        if not shifted[0] > smallest:
            continue
        inverse = 1 / shifted
        dual = Q @ (projected.T * inverse).T
        prediction[...] = targets - (dual.T / (squares @ inverse)).T
    return predictions


def score_candidates(grams, targets, y, alphas, splits, score, n_jobs, fit_intercept=False):
    """Scores (readout, alpha, split), seconds of fitting and scoring likewise, and what failed."""
    n_splits = 1 if splits is None else len(splits)

    def evaluate(K, split):
        start = time.perf_counter()
        if splits is None:
            rows, predictions = slice(None), leave_one_out(K, targets, alphas, fit_intercept)
            train, left_out = rows, predictions.__getitem__
        else:
            train, rows = splits[split]
            predictions = _hold_out(K, targets, alphas, train, rows, fit_intercept)

            def left_out(ridge):
                matrix = K[np.ix_(train, train)]
                return ridge_dual(matrix, targets[train], alphas[ridge], return_left_out=True)[1]

        fitted = time.perf_counter()
        failed = [not np.isfinite(prediction).all() for prediction in predictions]
        scores = [
            np.nan
            if failed[ridge]
            else score(
                predictions[ridge],
                y[rows],
                lambda ridge=ridge: fit_temperature(left_out(ridge), targets[train]),
            )
            for ridge in range(len(alphas))
        ]
        scored = time.perf_counter()
        times = (fitted - start) / len(alphas), (scored - fitted) / len(alphas)
        return [(value, *times, fails) for value, fails in zip(scores, failed, strict=True)]

    # Many small systems: one a thread is faster than one after the other on all of them.
    with one_thread():
        evaluated = Parallel(n_jobs, prefer="threads")(
            delayed(evaluate)(K, split) for K in grams for split in range(n_splits)
        )
    evaluated = np.reshape(evaluated, (len(grams), n_splits, len(alphas), 4))
    scores, *times, failed = np.moveaxis(evaluated, (3, 2), (0, 2))
    return scores, np.array(times), failed.astype(bool)


def _hold_out(K, targets, alphas, train, test, fit_intercept):
    """Predictions of test rows by regression on the training rows, for every ridge.

    NaN where the matrix is not positive definite.
    """
    cross = K[np.ix_(test, train)]
    mean = mean_target(targets[train]) if fit_intercept else 0.0
    predictions = np.full((len(alphas), len(test), *targets.shape[1:]), np.nan)
    for prediction, alpha in zip(predictions, alphas, strict=True):
        try:
            dual = ridge_dual(K[np.ix_(train, train)], targets[train] - mean, alpha)
        except LinAlgError:
            continue
        prediction[...] = cross @ dual + mean
    return predictions


def report_failures(candidates, failed):
    """Warn of candidates, dicts, that failed (readout, alpha, split), and raise if all did."""
    failed = failed.reshape(len(candidates), -1)
    named = [
        f"{', '.join(f'{name}={value}' for name, value in candidate.items())} "
        f"({fails.sum()} of {len(fails)} fits)"
        for candidate, fails in zip(candidates, failed, strict=True)
        if fails.any()
    ]
    if not named:
        return
    message = (
        "their kernel matrix is not positive definite to working precision, as with images that "
        "occur twice, or their predictions are not finite: use larger alphas, or "
        f"dtype='float64'. They are {'; '.join(named)}."
    )
    if len(named) == len(candidates):
        raise LinAlgError(f"All {len(candidates)} candidates failed: {message}")
    warnings.warn(
        f"{len(named)} of {len(candidates)} candidates failed, and score NaN: {message}",
        FitFailedWarning,
        stacklevel=3,
    )


def search_results(candidates, scores, times):
    """`cv_results_` with the columns of GridSearchCV, from arrays (readout, alpha, split)."""
    scores = scores.reshape(len(candidates), -1)
    times = times.reshape(2, len(candidates), -1)
    results = {}
    for name, seconds in zip(("fit", "score"), times, strict=True):
        results[f"mean_{name}_time"] = seconds.mean(axis=1)
        results[f"std_{name}_time"] = seconds.std(axis=1)
    for name in candidates[0]:
        column: Any = np.ma.masked_array([candidate[name] for candidate in candidates])
        results[f"param_{name}"] = column
    results["params"] = candidates
    for split, column in enumerate(scores.T):
        results[f"split{split}_test_score"] = column
    results["mean_test_score"] = scores.mean(axis=1)
    results["std_test_score"] = scores.std(axis=1)
    # Candidates whose score is not a number come last.
    order = np.where(np.isnan(scores.mean(axis=1)), -np.inf, scores.mean(axis=1))
    results["rank_test_score"] = rankdata(-order, method="min").astype(np.int32)
    return results
