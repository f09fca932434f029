"""Score against training-set size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline

from .._support.checks import is_integer, is_number
from .._support.docstrings import fill_docs
from ._curves import CurveDisplay, check_curves, place
from ._matplotlib import import_pyplot
from ._results import (
    ARCHITECTURE,
    best_of,
    last_part,
    pooling_name,
    read_candidates,
    require_searched,
    score_label,
    search_facts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes

    from .._support.typing import ArrayLike, Cv, Scoring


# Fractions of the training images, from an eighth to all.
_TRAIN_SIZES = (0.125, 0.25, 0.5, 1.0)


@fill_docs
class TrainSizeDisplay(CurveDisplay):
    """Score against training-set size: one line per architecture, with the spread over folds.

    The size axis is logarithmic if sizes differ by more than a factor of 5.
    It is recommended to use :meth:`from_estimator` or :meth:`from_cv_results`.

    Parameters
    ----------
    train_sizes : array-like, shape (n_sizes,)
        Numbers of training images (int), or fractions (float).
    scores : dict of str to array-like, shape (n_sizes, n_splits)
        Test scores by architecture; NaN where there is no candidate.
    {score_name}

    Attributes
    ----------
    lines_ : list of matplotlib lines
        The means over splits, one line per architecture.
    {fill_between_}
    {errorbar_}
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    DepthDisplay : Score against depth.
    sklearn.model_selection.LearningCurveDisplay : Also shows training scores, for any estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifier
    >>> from sklearn_cntk.plotting import TrainSizeDisplay
    >>> images, labels = load_digits().images[:150], load_digits().target[:150]
    >>> model = CNTKClassifier(depth=3, random_state=0)
    >>> display = TrainSizeDisplay.from_estimator(
    ...     model, images, labels, train_sizes=(0.25, 0.5, 1.0), cv=3
    ... )
    >>> display.train_sizes.tolist()
    [25, 50, 100]
    """

    def __init__(
        self, train_sizes: ArrayLike, scores: Mapping[str, ArrayLike], *, score_name: str = "score"
    ) -> None:
        check_curves(train_sizes, scores, "train_sizes")
        self.train_sizes = train_sizes
        self.scores = scores
        self.score_name = score_name

    def _points(self):
        return self.train_sizes

    def _draw_points(self, ax):
        sizes = np.unique(self.train_sizes)
        numbers = sizes.dtype.kind in "iu"
        ax.set_xlabel("Training images" if numbers else "Fraction of the training images")
        wide = sizes[-1] > 5 * sizes[0] > 0
        if wide:
            ax.set_xscale("log")
        positions = np.log(sizes) if wide else sizes
        if len(sizes) == 1 or np.diff(positions).min() >= np.ptp(positions) / 12:
            ax.set_xticks(sizes, [f"{size:g}" if size < 1 else str(size) for size in sizes])
            ax.minorticks_off()

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        ax: Axes | None = None,
        scorer_name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw the results of a search over `train_size`.

        Parameters
        ----------
        cv_results : dict of arrays
            ``cv_results_`` of scikit-learn's searches.  Parameters are found by their last part,
            such as "train_size" of "cntkclassifier__train_size".  Those of the network, from
            `depth` to `frozen_layers`, define an architecture, which gets a line.  Among candidates
            that differ only in other parameters, such as `alpha`, the one with the best mean score
            is shown.  Sizes are either all numbers or all fractions; None is the fraction 1.
        {ax}
        {scorer_name}
        {plot_options}

        Returns
        -------
        TrainSizeDisplay

        Raises
        ------
        {no_params}
        ValueError
            If `train_size` was not searched, or with both numbers and fractions, or `scorer_name`
            is missing.
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        candidates, score_name = read_candidates(cv_results, scorer_name)
        return cls._from_candidates(candidates, score_name).plot(ax, **plot_options)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        train_sizes: Sequence[float] = _TRAIN_SIZES,
        cv: Cv = None,
        scoring: Scoring = None,
        ax: Axes | None = None,
        n_jobs: int | None = None,
        name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Cross-validate an estimator on parts of the training images, and draw the scores.

        Parameters
        ----------
        estimator : estimator with a parameter `train_size`
            :class:`~sklearn_cntk.CNTKClassifier`, :class:`~sklearn_cntk.CNTKRegressor`, or a
            pipeline or search that contains one.  Without X and y, a fitted search over
            `train_size`, whose ``cv_results_`` are drawn as they are.
        X : array-like, n images, default=None
        y : array-like (n,) or (n, n_targets), default=None
        train_sizes : sequence of int or float, default=(0.125, 0.25, 0.5, 1.0)
            Numbers of images, or fractions of the smallest training set among the splits.  A
            search, or any other estimator with its own `cv`, supports only fractions: fractions of
            the rows on which it fits, first its own folds of the training set and then all of it.
        cv : int, cross-validation generator, iterable or None, default=None
            As in :class:`~sklearn.model_selection.GridSearchCV`.
        scoring : str, callable or None, default=None
            One score, as in :class:`~sklearn.model_selection.GridSearchCV`.
        {ax}
        n_jobs : int or None, default=None
            Number of splits and sizes to compute in parallel.
        name : str, default=None
            Label of the line; None uses the estimator's class.
        {plot_options}

        Returns
        -------
        TrainSizeDisplay

        Raises
        ------
        ValueError
            If the estimator has no parameter `train_size`, or is a search over it; if a size is out
            of range, or is a number of images for a search; if only one of X and y is given; or if
            a fitted search without X and y comes with other parameters of cross-validation.
        {no_matplotlib}
        """
        import_pyplot(cls.__name__)
        if X is None or y is None:
            if not hasattr(estimator, "cv_results_") or X is not None or y is not None:
                raise ValueError(
                    "X or y is None: give images and labels to fit to, or only a fitted search "
                    "over train_size."
                )
            options = {"cv": cv, "scoring": scoring, "n_jobs": n_jobs, "name": name}
            options["train_sizes"] = None if train_sizes is _TRAIN_SIZES else train_sizes
            for option, value in options.items():
                if value is not None:
                    raise ValueError(
                        f"{option}={value!r} has no effect on a search that is fitted: leave it "
                        "out, or give X and y."
                    )
            cv_results, fixed, label = search_facts(estimator)
            candidates, score_name = read_candidates(cv_results, label, fixed)
            return cls._from_candidates(candidates, score_name).plot(ax, **plot_options)
        parameter = _train_size_parameter(estimator)
        splits = list(check_cv(cv, y, classifier=is_classifier(estimator)).split(X, y))
        folding = _folding_owner(estimator, parameter)
        if folding is None:
            sizes = _numbers(train_sizes, min(len(train) for train, _ in splits))
        else:
            sizes = _fractions(train_sizes, folding)
        search = GridSearchCV(
            estimator,
            {parameter: sizes},
            scoring=scoring,
            cv=splits,
            n_jobs=n_jobs,
            refit=False,
            error_score="raise",
        ).fit(X, y)
        candidates, score_name = read_candidates(
            search.cv_results_, score_label(estimator, scoring)
        )
        if name is None:
            last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
            name = type(last).__name__
        scores = {name: np.array([candidate.scores for candidate in candidates])}
        return cls(np.array(sizes), scores, score_name=score_name).plot(ax, **plot_options)

    @classmethod
    def _from_candidates(cls, candidates, score_name):
        require_searched(candidates, "train_size")
        sizes = _common_sizes([c.parameters["train_size"] for c in candidates])
        candidates = [
            c._replace(parameters={**c.parameters, "train_size": size})
            for c, size in zip(candidates, sizes, strict=True)
        ]
        # Labels leave out what all candidates have in common.
        varying = [
            name
            for name in ARCHITECTURE
            if len({repr(c.parameters.get(name)) for c in candidates}) > 1
        ]

        def key(parameters):
            return parameters["train_size"], tuple(
                (name, parameters.get(name)) for name in ARCHITECTURE
            )

        best = best_of(candidates, key)
        points = sorted({size for size, _ in best})
        scores = place(best, points, lambda group: _architecture_name(dict(group), varying))
        return cls(np.array(points), scores, score_name=score_name)


def _architecture_name(parameters, varying):
    """Return a label with the parameters that vary."""
    words = []
    if "depth" in varying:
        words.append(f"depth {parameters['depth']}")
    if "gap" in varying or "lap" in varying:
        words.append(pooling_name(parameters))
    words += [f"{name}={parameters[name]!r}" for name in varying if name in ARCHITECTURE[3:]]
    return ", ".join(words) or "CNTK"


def _common_sizes(sizes):
    """Return sizes of one kind, numbers or fractions; None is the fraction 1."""
    numbers = [size for size in sizes if is_integer(size)]
    if not numbers:
        return [1.0 if size is None else float(size) for size in sizes]
    if len(numbers) < len(sizes):
        others = sorted({repr(size) for size in sizes if not is_integer(size)})
        raise ValueError(
            f"train_size was searched with numbers and with {', '.join(others)}, which have no "
            "common axis: use only numbers of images, or only fractions and None."
        )
    return [int(size) for size in numbers]


def _numbers(train_sizes, n):
    """Return distinct numbers of images in increasing order, for numbers or fractions of n."""
    numbers = set()
    for size in _checked(train_sizes):
        number = int(size) if is_integer(size) else int(size * n)
        if not 1 <= number <= n or (not is_integer(size) and float(size) > 1):
            raise ValueError(
                f"train_sizes holds {size!r}: use 1 to {n} images, the smallest training set "
                "among the splits, or fractions (float) in (0, 1]."
            )
        numbers.add(number)
    return sorted(numbers)


def _fractions(train_sizes, folding):
    """Return distinct increasing fractions, for an estimator that fits on folds of its rows."""
    for size in _checked(train_sizes):
        if is_integer(size):
            raise ValueError(
                f"train_sizes holds {size!r}, but {type(folding).__name__} fits on folds of "
                "different numbers of rows: use fractions (float) of these rows in (0, 1]."
            )
        if not 0 < size <= 1:
            raise ValueError(f"train_sizes holds {size!r}: use fractions (float) in (0, 1].")
    return sorted({float(size) for size in train_sizes})


def _checked(train_sizes):
    for size in train_sizes:
        if not is_number(size):
            raise TypeError(f"train_sizes holds {size!r}: use numbers of images or fractions.")
    if len(train_sizes) == 0:
        raise ValueError("train_sizes is empty: give at least one size.")
    return train_sizes


def _folding_owner(estimator, parameter):
    """Return what fits the owner of `parameter` on folds, such as a search, or None."""
    owner = estimator
    for part in parameter.split("__")[:-1]:
        if hasattr(owner, "cv"):
            grids = getattr(owner, "param_grid", getattr(owner, "param_distributions", ()))
            grids = [grids] if isinstance(grids, Mapping) else grids
            if any(last_part(name) == "train_size" for grid in grids for name in grid):
                raise ValueError(
                    f"{type(owner).__name__} searches over train_size itself: fit it, and give "
                    "its cv_results_ to from_cv_results."
                )
            return owner
        owner = owner.get_params()[part]
    return None


def _train_size_parameter(estimator):
    """Return the name of the parameter `train_size` of an estimator or one of its steps."""
    names = [name for name in estimator.get_params() if last_part(name) == "train_size"]
    if len(names) != 1:
        found = f"has {' and '.join(names)}" if names else "has no parameter 'train_size'"
        raise ValueError(
            f"{type(estimator).__name__} {found}: use a CNTKClassifier or CNTKRegressor, or a "
            "pipeline or search with one. For other estimators, use "
            "sklearn.model_selection.LearningCurveDisplay."
        )
    return names[0]
