"""Score against depth, for architecture searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._support.docstrings import fill_docs
from ._curves import CurveDisplay, check_curves, place
from ._matplotlib import import_pyplot
from ._results import best_of, pooling_name, read_candidates, require_searched, search_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from matplotlib.axes import Axes

    from .._support.typing import ArrayLike


@fill_docs
class DepthDisplay(CurveDisplay):
    """Score against depth: one line per pooling, with the spread over folds.

    It is recommended to use :meth:`from_estimator` or :meth:`from_cv_results`.

    Parameters
    ----------
    depths : array-like of int, shape (n_depths,)
    scores : dict of str to array-like, shape (n_depths, n_splits)
        Test scores by pooling; NaN where there is no candidate.
    {score_name}

    Attributes
    ----------
    lines_ : list of matplotlib lines
        The means over splits, one line per pooling.
    {fill_between_}
    {errorbar_}
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    TrainSizeDisplay : Score against training-set size.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifierCV
    >>> from sklearn_cntk.plotting import DepthDisplay
    >>> images, labels = load_digits().images[:100], load_digits().target[:100]
    >>> search = CNTKClassifierCV(depths=(2, 3, 4), cv=3).fit(images, labels)
    >>> display = DepthDisplay.from_estimator(search)
    >>> list(display.scores)
    ['global average pooling', 'flattening']
    """

    def __init__(
        self, depths: ArrayLike, scores: Mapping[str, ArrayLike], *, score_name: str = "score"
    ) -> None:
        check_curves(depths, scores, "depths")
        self.depths = depths
        self.scores = scores
        self.score_name = score_name

    def _points(self):
        return self.depths

    def _draw_points(self, ax):
        ax.set_xlabel("Depth (layers)")
        depths = np.unique(self.depths)
        crowded = len(depths) > 1 and np.diff(depths).min() < np.ptp(depths) / 25
        if crowded:
            from matplotlib.ticker import MaxNLocator

            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            ax.set_xticks(depths)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any],
        *,
        ax: Axes | None = None,
        scorer_name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw the results of a search over depth.

        Parameters
        ----------
        cv_results : dict of arrays
            ``cv_results_`` of :class:`~sklearn_cntk.CNTKClassifierCV` or of scikit-learn's
            searches.  Parameters are found by their last part, such as "depth" of
            "cntkclassifier__depth".  Among candidates with the same depth and pooling, the one with
            the best mean score is shown.
        {ax}
        {scorer_name}
        {plot_options}

        Returns
        -------
        DepthDisplay

        Raises
        ------
        {no_params}
        ValueError
            If `depth` was not searched, or `scorer_name` is missing.
        {no_matplotlib}
        """
        return cls._from_results(cv_results, None, ax, scorer_name, plot_options)

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        ax: Axes | None = None,
        scorer_name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw a fitted search.

        Parameters
        ----------
        search : fitted search
            :class:`~sklearn_cntk.CNTKClassifierCV`, GridSearchCV, or anything with
            ``cv_results_``; see :meth:`from_cv_results`.
        ax, scorer_name, **plot_options
            As in :meth:`from_cv_results`.

        Returns
        -------
        DepthDisplay
        """
        import_pyplot(cls.__name__)
        cv_results, fixed, label = search_facts(search)
        return cls._from_results(cv_results, fixed, ax, scorer_name or label, plot_options)

    @classmethod
    def _from_results(cls, cv_results, fixed, ax, scorer_name, plot_options):
        import_pyplot(cls.__name__)
        candidates, score_name = read_candidates(cv_results, scorer_name, fixed)
        require_searched(candidates, "depth")
        n_default = sum(candidate.parameters["depth"] is None for candidate in candidates)
        if n_default:
            raise ValueError(
                f"{n_default} of {len(candidates)} candidates have depth=None: search over numbers "
                "of layers, such as depth=[3, 6]."
            )
        best = best_of(candidates, lambda p: (int(p["depth"]), pooling_name(p)))
        depths = sorted({depth for depth, _ in best})
        scores = place(best, depths, str)
        return cls(np.array(depths), scores, score_name=score_name).plot(ax, **plot_options)
