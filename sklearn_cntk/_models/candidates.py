"""Scores of the candidates of a search, from their Gram matrices."""

import time
import warnings
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, eigh
from scipy.stats import rankdata
from sklearn.exceptions import FitFailedWarning
from sklearn.utils.parallel import Parallel, delayed  # which keep scikit-learn's configuration

from .._linalg.ridge import mean_diagonal, ridge_dual
from .._linalg.threads import one_thread
from .calibration import fit_temperature
from .intercept import mean_target


def leave_one_out(K, targets, alphas, fit_intercept=False, sample_weight=None):
    """Predict each row by regression on the others, for every ridge.

    With K + λ = Q (Λ + λ) Qᵀ, the prediction of row i misses its target by c_i / G_ii, where c are
    the dual coefficients and G is the inverse of K + λ (Rifkin and Lippert, "Notes on Regularized
    Least Squares", 2007).  One eigendecomposition thus serves all ridges.  λ is relative to the
    mean of the whole diagonal, as in `ridge_dual`.  With weights W, the matrix is √W K √W, and the
    targets are √W y.

    Returns
    -------
    ndarray (len(alphas), n) or (len(alphas), n, k)
        NaN for ridges with which the matrix is singular to working precision.
    """
    weights = np.ones(len(K)) if sample_weight is None else sample_weight
    if not fit_intercept:
        return _leave_one_out(K, targets, alphas, weights)
    # Predictions are linear in the targets.  Without row i, these have a mean of their own,
    # `shift` above the mean of all: p(y - shift) + shift = p(y) + shift (1 - p(1)).
    mean = mean_target(targets, sample_weight)
    centred = (targets - mean).reshape(len(targets), -1)
    others = (weights.sum() - weights)[:, None]
    alone = others <= 0
    shift = np.where(alone, -mean, -centred * weights[:, None] / np.where(alone, 1.0, others))
    predicted = _leave_one_out(K, np.column_stack([centred, np.ones(len(K))]), alphas, weights)
    predicted = predicted[..., :-1] + shift * (1 - predicted[..., -1:])
    return predicted.reshape(len(alphas), *targets.shape) + mean


def _leave_one_out(K, targets, alphas, weights):
    mean = mean_diagonal(K.diagonal(), weights)
    root = np.sqrt(weights)
    # They do not affect other rows, and their own division would lose all digits.
    weightless = root <= 1e-10 * root.max()
    matrix = K if (root == 1).all() else root[:, None] * K * root
    eigenvalues, Q = eigh(matrix, check_finite=False)
    projected = Q.T @ (root * targets.T).T
    squares = Q**2
    predictions = np.full((len(alphas), *targets.shape), np.nan)
    # Rounding may make eigenvalues of 0 as large as this.
    smallest = np.finfo(np.float64).eps * len(K) * abs(eigenvalues).max()
    for prediction, alpha in zip(predictions, alphas, strict=True):
        shifted = eigenvalues + alpha * (mean if mean > 0 else 1.0)
        if not shifted[0] > smallest:
            continue
        inverse = 1 / shifted
        solution = Q @ (projected.T * inverse).T
        missed = (solution.T / np.where(weightless, 1.0, root * (squares @ inverse))).T
        prediction[...] = targets - missed
        # Rows with a negligible weight are predicted like new rows.
        prediction[weightless] = K[weightless] @ (root * solution.T).T
    return predictions


def score_candidates(grams, targets, sample_weight, alphas, splits, score, n_jobs, fit_intercept):
    """Evaluate every candidate on every split.

    Parameters
    ----------
    grams : ndarray (readouts, n, n)
    targets : ndarray (n,) or (n, k)
    sample_weight : ndarray (n,) or None
    alphas : sequence of float
    splits : list of pairs of row indices, or None for leave-one-out
    score : callable
        Takes the numbers of a readout and of a split, predictions by ridge (None where they
        failed) and functions that find their temperatures; returns a dict of scores per ridge.
    n_jobs : int
    fit_intercept : bool

    Returns
    -------
    scores : list of dict
        In the order of readout, ridge, split; empty where predictions failed.
    times : ndarray (2, readouts, ridges, splits)
        Seconds spent on fitting and on scoring.
    failed : ndarray of bool, shape (readouts, ridges, splits)
    """
    n_splits = 1 if splits is None else len(splits)

    def weights_of(rows):
        return None if sample_weight is None else sample_weight[rows]

    def work(readout, split):
        start, K = time.perf_counter(), grams[readout]
        if splits is None:
            train = slice(None)
            predictions = leave_one_out(K, targets, alphas, fit_intercept, sample_weight)
            left_out = predictions.__getitem__
        else:
            train, test = splits[split]
            predictions = _hold_out(
                K, targets, alphas, train, test, fit_intercept, weights_of(train)
            )

            def left_out(ridge):
                matrix = K[np.ix_(train, train)]
                return ridge_dual(
                    matrix, targets[train], alphas[ridge], weights_of(train), return_left_out=True
                )[1]

        def temperature(ridge):
            return fit_temperature(left_out(ridge), targets[train], weights_of(train))

        fitted = time.perf_counter()
        failed = [not np.isfinite(prediction).all() for prediction in predictions]
        found = [
            None if fails else prediction
            for prediction, fails in zip(predictions, failed, strict=True)
        ]
        temperatures = [partial(temperature, ridge) for ridge in range(len(alphas))]
        scores = score(readout, split, found, temperatures)
        scored = time.perf_counter()
        times = (fitted - start) / len(alphas), (scored - fitted) / len(alphas)
        return [(one, *times, fails) for one, fails in zip(scores, failed, strict=True)]

    # Many small systems: one per thread is faster than each in turn on all threads.
    with one_thread():
        done = Parallel(n_jobs, prefer="threads")(
            delayed(work)(readout, split)
            for readout in range(len(grams))
            for split in range(n_splits)
        )
    done = np.array(done, dtype=object).reshape(len(grams), n_splits, len(alphas), 4)
    scores, *times, failed = np.moveaxis(done, (3, 2), (0, 2))
    return scores.ravel().tolist(), np.array(times, dtype=float), failed.astype(bool)


def _hold_out(K, targets, alphas, train, test, fit_intercept, sample_weight):
    """Predict test rows by regression on the training rows, for every ridge.

    NaN where the matrix is not positive definite, or no training row has a weight.
    """
    cross = K[np.ix_(test, train)]
    predictions = np.full((len(alphas), len(test), *targets.shape[1:]), np.nan)
    if sample_weight is not None and not sample_weight.any():
        return predictions
    mean = mean_target(targets[train], sample_weight) if fit_intercept else 0.0
    for prediction, alpha in zip(predictions, alphas, strict=True):
        try:
            dual = ridge_dual(K[np.ix_(train, train)], targets[train] - mean, alpha, sample_weight)
        except LinAlgError:
            continue
        prediction[...] = cross @ dual + mean
    return predictions


def report_failures(candidates, failed):
    """Warn about candidates (dicts) that failed (readout, alpha, split); raise if all did."""
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
        "their kernel matrix is not positive definite to working precision, as with "
        "duplicate images, or their predictions are not finite: use larger alphas, or "
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
    """Return `cv_results_` with the columns of GridSearchCV.

    Parameters
    ----------
    candidates : list of dict
    scores : dict of ndarray (candidates, splits)
        By metric.
    times : ndarray (2, candidates, splits)
    """
    results = {}
    for name, seconds in zip(("fit", "score"), times, strict=True):
        results[f"mean_{name}_time"] = seconds.mean(axis=1)
        results[f"std_{name}_time"] = seconds.std(axis=1)
    for name in candidates[0]:
        column: Any = np.ma.masked_array([candidate[name] for candidate in candidates])
        results[f"param_{name}"] = column
    results["params"] = candidates
    for metric, values in scores.items():
        for split, column in enumerate(values.T):
            results[f"split{split}_test_{metric}"] = column
        mean = results[f"mean_test_{metric}"] = values.mean(axis=1)
        results[f"std_test_{metric}"] = values.std(axis=1)
        # Candidates whose score is not a number come last.
        order = np.where(np.isnan(mean), -np.inf, mean)
        results[f"rank_test_{metric}"] = rankdata(-order, method="min").astype(np.int32)
    return results
