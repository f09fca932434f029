"""The scorers of a search, and which of them chooses the best candidate."""

from __future__ import annotations

import numbers
import warnings
from contextlib import suppress
from inspect import signature
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils.metadata_routing import MetadataRequest


class OwnScore:
    """The default scorer: accuracy or R², with the metadata that the search requests."""

    def __init__(self, search):
        self.search = search

    def __call__(self, estimator, X, y, sample_weight=None):
        return estimator.score(X, y, sample_weight)

    def get_metadata_routing(self):
        request = MetadataRequest(owner=self.search)
        request.score = self.search._get_metadata_request().score
        return request


def are_several(scoring):
    """Whether `scoring` gives metrics by name, rather than one scorer."""
    return not (scoring is None or isinstance(scoring, str) or callable(scoring))


def scorers_of(search, scoring):
    """Return scorers by the names of their metrics; a single one is called "score"."""
    if not are_several(scoring):
        metrics = {"score": scoring}
    elif isinstance(scoring, dict):
        metrics = scoring
    elif isinstance(scoring, (list, tuple, set)) and all(isinstance(one, str) for one in scoring):
        metrics = {one: one for one in scoring}
    else:
        raise TypeError(
            f"scoring={scoring!r} must be a metric's name, a callable, a list of names, or a dict "
            "of metrics by names of your own."
        )
    if not metrics or (are_several(scoring) and len(metrics) < len(scoring)):
        raise ValueError(f"scoring={scoring!r} must hold at least one metric, and none twice.")
    return {
        name: OwnScore(search) if one is None else check_scoring(search, scoring=one)
        for name, one in metrics.items()
    }


def check_refit(refit, scoring):
    """Raise if `refit` chooses no candidate, as far as can be told before scoring."""
    is_true = isinstance(refit, (bool, np.bool_)) and bool(refit)
    is_name = isinstance(refit, str)
    if are_several(scoring):
        if callable(refit) or (is_name and refit in scoring):
            return
        raise ValueError(
            f"refit={refit!r} must name the metric of {list(scoring)} that chooses the best "
            "candidate, or be a function of cv_results_ that returns its index."
        )
    if callable(refit) or is_true or (is_name and (callable(scoring) or refit == scoring)):
        return
    raise ValueError(
        f"refit={refit!r} cannot be used with scoring={scoring!r}: use True. The best candidate "
        "is always fitted, which costs little compared with its Gram matrix."
    )


def chosen_metric(refit, metrics):
    """Return the metric that chooses the best candidate, or None if `refit` is a function."""
    if callable(refit):
        return None
    if list(metrics) == ["score"]:
        return "score"
    if refit in metrics:
        return refit
    raise ValueError(
        f"refit={refit!r} must name one of the metrics that scoring returns: {list(metrics)}."
    )


def takes_weights(scorer):
    """Whether a scorer can be called with `sample_weight`."""
    if hasattr(scorer, "_accept_sample_weight"):  # scikit-learn's, from 1.7 on
        return scorer._accept_sample_weight()
    metric = getattr(scorer, "_score_func", scorer)  # of scikit-learn's scorers before
    try:
        return "sample_weight" in signature(metric).parameters
    except (TypeError, ValueError):  # built-in functions have none
        return False


def evaluate(scorers, estimator, X, y, params):
    """Return what each metric returns or raises; `params` are keyed by scorer."""
    results: dict[str, Any] = {}
    for name, scorer in scorers.items():
        try:
            value = scorer(estimator, X, y, **params.get(name, {}))
            values = value if isinstance(value, dict) else {name: value}
            results |= {metric: _number(metric, one) for metric, one in values.items()}
        except Exception as error:  # of any kind: scorers are the user's
            results[name] = error
    return results


def _number(metric, value):
    with suppress(AttributeError, ValueError):  # of arrays and tensors with one element
        value = value.item()
    if not isinstance(value, numbers.Real):
        raise ValueError(f"scoring returned {value!r} as {metric}: a number is needed.")
    return float(value)


def scores_by_metric(results, names, refit):
    """Return arrays of scores by metric; warn of scorers that failed, whose scores are NaN.

    Parameters
    ----------
    results : list of dict
        What `evaluate` returns for all candidates and splits; empty where predictions failed.
    names : list of str or None
        The metrics; None leaves them to a scorer that may return several.
    refit : str, callable or bool

    Raises
    ------
    Exception
        What a scorer raised, if none ever succeeded, or if the one that `refit` names never did.
    """
    errors = [
        (name, value)
        for result in results
        for name, value in result.items()
        if isinstance(value, Exception)
    ]
    returned = dict.fromkeys(
        name
        for result in results
        for name, value in result.items()
        if not isinstance(value, Exception)
    )
    for name, error in errors:
        if not returned or (name == refit and name not in returned):
            raise error
    if errors:
        failed = ", ".join(dict.fromkeys(name for name, _ in errors))
        name, first = errors[0]
        warnings.warn(
            f"Scoring failed {len(errors)} times ({failed}), and these scores are NaN. The first "
            f"error was {type(first).__name__}: {first}",
            UserWarning,
            stacklevel=3,
        )

    def number(result, metric):
        value = result.get(metric, np.nan)
        return np.nan if isinstance(value, Exception) else value

    scores = {
        metric: np.array([number(result, metric) for result in results])
        for metric in (names or returned or ["score"])
    }
    predicted = np.array([bool(result) for result in results])
    strange = [name for name, values in scores.items() if not np.isfinite(values[predicted]).all()]
    if strange and not errors:
        warnings.warn(f"Scores are not finite: {', '.join(strange)}.", UserWarning, stacklevel=3)
    return scores
