"""The scorers of a search, and which of them chooses the best candidate."""

from __future__ import annotations

import numbers
import warnings
from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring


def own_score(estimator, X, y, sample_weight=None):
    """The scorer without a `scoring`: accuracy, or R²."""
    return estimator.score(X, y, sample_weight)


def scorers_of(estimator, scoring):
    """Scorers by the names of their metrics; a single one is called "score"."""
    if scoring is None:
        return {"score": own_score}
    if isinstance(scoring, str) or callable(scoring):
        return {"score": check_scoring(estimator, scoring=scoring)}
    if isinstance(scoring, dict):
        metrics = scoring
    elif isinstance(scoring, (list, tuple, set)) and all(isinstance(one, str) for one in scoring):
        metrics = {one: one for one in scoring}
    else:
        raise TypeError(
            f"scoring={scoring!r} must be a metric's name, a callable, a list of names, or a dict "
            "of metrics by names of your own."
        )
    if len(metrics) < len(scoring) or not metrics:
        raise ValueError(f"scoring={scoring!r} must hold at least one metric, and none twice.")
    return {name: check_scoring(estimator, scoring=one) for name, one in metrics.items()}


def check_refit(refit, scoring):
    """Raise where `refit` chooses no candidate, as far as that is known before metrics are."""
    several = not (scoring is None or isinstance(scoring, str) or callable(scoring))
    if callable(refit) or (not several and (refit is True or refit == scoring)):
        return
    if isinstance(refit, str) and (callable(scoring) or (several and refit in scoring)):
        return
    if several:
        raise ValueError(
            f"refit={refit!r} must name the metric of {list(scoring)} by which the best "
            "candidate is chosen, or be a function of cv_results_ that returns its index."
        )
    raise ValueError(
        f"refit={refit!r} is no choice with scoring={scoring!r}: use True. The best candidate is "
        "always fitted, which costs little beside its Gram matrix."
    )


def chosen_metric(refit, metrics):
    """The metric that chooses the best candidate, or None if `refit` is a function that does."""
    if callable(refit):
        return None
    if metrics == ["score"]:
        return "score"
    if refit in metrics:
        return refit
    raise ValueError(
        f"refit={refit!r} must name one of the metrics that scoring returns: {metrics}."
    )


def takes_weights(scorer):
    """Whether a scorer can be called with `sample_weight`."""
    function = getattr(scorer, "_score_func", scorer)
    kinds = {one.kind for one in signature(function).parameters.values()}
    return Parameter.VAR_KEYWORD in kinds or "sample_weight" in signature(function).parameters


def rows_of(params, rows):
    """The rows of metadata of scorers, as far as they have rows."""
    return {
        name: {key: one if one is None else np.asarray(one)[rows] for key, one in of_scorer.items()}
        for name, of_scorer in params.items()
    }


def evaluate(scorers, estimator, X, y, params):
    """What each metric says, or the exception that it raised; `params` are those of its scorer."""
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
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, numbers.Real):
        raise ValueError(f"scoring returned {value!r} as {metric}: a number is needed.")
    return float(value)


def without_failures(results):
    """Names of the metrics, and the results with NaN where a scorer failed, which is warned of.

    Raises
    ------
    Exception
        What a scorer raised, if it never succeeded.
    """
    errors = [one for result in results for one in result.values() if isinstance(one, Exception)]
    whole = [
        result
        for result in results
        if result and not any(isinstance(one, Exception) for one in result.values())
    ]
    if errors and not whole:
        raise errors[0]
    if errors:
        warnings.warn(
            f"Scoring failed {len(errors)} times, and these scores are NaN. The first time it was "
            f"{type(errors[0]).__name__}: {errors[0]}",
            UserWarning,
            stacklevel=4,
        )
    metrics = list(whole[0]) if whole else ["score"]

    def number(result, metric):
        value = result.get(metric, np.nan)
        return np.nan if isinstance(value, Exception) else value

    return metrics, [{metric: number(result, metric) for metric in metrics} for result in results]
