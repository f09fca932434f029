"""Reading of ``cv_results_`` for displays of searches."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier, is_regressor

from .._models.parameters import (
    DepthParameters,
    LayerParameters,
    LocalPoolingParameters,
    NetworkParameters,
)
from .._support.parameters import declared

_PARAMETERS = declared(DepthParameters) | declared(LocalPoolingParameters)
_PARAMETERS |= declared(NetworkParameters) | declared(LayerParameters)

#: Parameters that define an architecture, in the order in which labels name them.
ARCHITECTURE = tuple(name for name in _PARAMETERS if name != "image_shape")


class Candidate(NamedTuple):
    """A candidate of a search: its parameters, and its scores (n_splits,)."""

    parameters: dict
    scores: np.ndarray

    @property
    def rank(self):
        """The mean score; NaN is the lowest."""
        mean = np.mean(self.scores)
        return -np.inf if np.isnan(mean) else mean


def last_part(name):
    """Return the last part of a parameter's name: "depth" for "pipe__cntk__depth"."""
    return name.rpartition("__")[2]


def read_candidates(cv_results, scorer_name, fixed=None):
    """Return the candidates of ``cv_results_`` and the name of their score.

    Parameters
    ----------
    cv_results : mapping of columns
    scorer_name : str or None
        Which of several scores to read; if there is only one, its name.
    fixed : dict or None
        Parameters that are not searched, by their full names.

    Returns
    -------
    candidates : list of Candidate
        With parameters under their last parts.
    score_name : str
    """
    try:
        params = list(cv_results["params"])
    except (KeyError, TypeError, IndexError):
        raise ValueError(
            "cv_results has no 'params': give the cv_results_ of a fitted search, as in "
            "from_cv_results(search.cv_results_)."
        ) from None
    for own in params:
        if not isinstance(own, Mapping):
            raise TypeError(
                f"cv_results['params'] holds {own!r} ({type(own).__name__}): use dicts, as in "
                "cv_results_. In a table read from a file, turn texts back into dicts first, for "
                "example with table['params'] = table['params'].map(ast.literal_eval)."
            )
    column = _score_column(cv_results, scorer_name)
    pattern = re.compile(rf"split\d+_test_{re.escape(column)}")
    splits = [np.asarray(cv_results[key]) for key in cv_results if pattern.fullmatch(str(key))]
    scores = np.stack(splits, axis=1).astype(float)
    fixed = {} if fixed is None else fixed
    candidates = [
        Candidate(_by_last_part({**fixed, **own}), row)
        for own, row in zip(params, scores, strict=True)
    ]
    return candidates, scorer_name or ("score" if column == "score" else column)


def require_searched(candidates, name):
    """Raise unless every candidate has a parameter `name`."""
    lacking = [c.parameters for c in candidates if name not in c.parameters]
    if lacking:
        searched = ", ".join(sorted({key for c in candidates for key in c.parameters}))
        raise ValueError(
            f"cv_results has no parameter {name!r} (or '…__{name}') for {len(lacking)} of "
            f"{len(candidates)} candidates: search over {name}. The parameters are: {searched}."
        )


def search_facts(search):
    """Return ``cv_results_``, the fixed parameters and the score's name of a fitted search."""
    if not hasattr(search, "cv_results_"):
        raise ValueError(
            f"{type(search).__name__} has no cv_results_: give a fitted search, such as "
            "GridSearchCV or CNTKClassifierCV."
        )
    estimator = getattr(search, "estimator", None)
    fixed = {}
    if estimator is not None:
        fixed = {
            name: value
            for name, value in estimator.get_params().items()
            if last_part(name) in ARCHITECTURE
        }
    refit = getattr(search, "refit", None)  # with several scores, the one that chose the best
    label = (
        refit if isinstance(refit, str) else score_label(search, getattr(search, "scoring", None))
    )
    return search.cv_results_, fixed, label


def score_label(estimator, scoring):
    """Return scikit-learn's name for this `scoring` of an estimator, or None if it has none."""
    if isinstance(scoring, str):
        return scoring
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "r2" if is_regressor(estimator) else None
    return getattr(scoring, "__name__", None)


def axis_label(score_name):
    """Return a score's name as an axis label, such as "Negative mean squared error"."""
    if score_name == "r2":
        return "R²"
    text = score_name.removeprefix("neg_").replace("_", " ")
    text = f"negative {text}" if score_name.startswith("neg_") else text
    return text[:1].upper() + text[1:]


def pooling_name(parameters):
    """Return the pooling of an architecture in words; "CNTK" if the parameters do not say."""
    gap, lap = parameters.get("gap"), parameters.get("lap")
    if lap:
        return f"local average pooling, radius {lap}"
    if gap is None:
        return "CNTK"
    return "global average pooling" if gap else "flattening"


def best_of(candidates, key):
    """Return the best candidate for each ``key(parameters)``, in order of appearance."""
    best: dict[Any, Candidate] = {}
    for candidate in candidates:
        group = key(candidate.parameters)
        if group not in best or candidate.rank > best[group].rank:
            best[group] = candidate
    return best


def _score_column(cv_results, scorer_name):
    prefix = "mean_test_"
    columns = [str(key).removeprefix(prefix) for key in cv_results if str(key).startswith(prefix)]
    if not columns:
        raise ValueError(
            "cv_results has no column 'mean_test_…': give the cv_results_ of a fitted search."
        )
    if scorer_name in columns:
        return scorer_name
    if columns == ["score"]:  # the actual score is not named
        return "score"
    if scorer_name is None and len(columns) == 1:
        return columns[0]
    raise ValueError(
        f"scorer_name={scorer_name!r} is not among the scores of cv_results: use one of {columns}."
    )


def _by_last_part(parameters):
    result: dict[str, Any] = {}
    full: dict[str, str] = {}
    for name, value in parameters.items():
        part = last_part(name)
        if part in full and full[part] != name and part in (*ARCHITECTURE, "train_size"):
            raise ValueError(
                f"cv_results has two parameters that end in {part!r}, {full[part]!r} and "
                f"{name!r}: a display shows one CNTK."
            )
        result[part], full[part] = value, name
    return result
