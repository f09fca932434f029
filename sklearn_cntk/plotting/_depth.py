"""Score over depth, for searches of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._curves import CurveDisplay, check_curves, place
from ._matplotlib import import_pyplot
from ._results import best_of, pooling_name, read_candidates, require_searched, search_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from matplotlib.axes import Axes

    from .._support.typing import ArrayLike, Spread


class DepthDisplay(CurveDisplay):
    """Score over depth: a line for each pooling, with the spread of folds.

    It is recommended to use :meth:`from_estimator` or :meth:`from_cv_results`.

    Parameters
    ----------
    depths : array-like of int, shape (n_depths,)
    scores : dict of str to array-like, shape (n_depths, n_splits)
        Test scores by pooling; NaN where there is no candidate.
    score_name : str, default="score"
        Label of the vertical axis; underscores become spaces.

    Attributes
    ----------
    lines_ : list of matplotlib lines
        One a pooling, the means over splits.
    fill_between_ : list of matplotlib collections, or None
        One standard deviation over splits to either side; None if there is one split.
    errorbar_ : list of matplotlib containers, or None
        The same with ``std_display_style="errorbar"``.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    TrainSizeDisplay : Score over training-set size.

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

    def plot(
        self,
        ax: Axes | None = None,
        *,
        std_display_style: Spread = "fill_between",
        line_kw: dict[str, Any] | None = None,
        spread_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a figure.
        std_display_style : {"fill_between", "errorbar"} or None, default="fill_between"
            How to show the standard deviation over splits.
        line_kw : dict, default=None
            Passed to ``ax.plot``.
        spread_kw : dict, default=None
            Passed to ``ax.fill_between`` or ``ax.errorbar``.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            matplotlib is missing.
        """
        self._draw(ax, std_display_style, line_kw, spread_kw)
        self.ax_.set_xlabel("Depth (layers)")
        depths = np.unique(self.depths)
        crowded = len(depths) > 1 and np.diff(depths).min() < np.ptp(depths) / 25
        if crowded:
            from matplotlib.ticker import MaxNLocator

            self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        else:
            self.ax_.set_xticks(depths)
        return self

    def _points(self):
        return self.depths

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
            "cntkclassifier__depth".  Of candidates with the same depth and pooling the one with
            the best mean score is shown.
        ax : matplotlib Axes, default=None
            None makes a figure.
        scorer_name : str, default=None
            Which score, if there are several; the name of the score, if there is one.
        **plot_options
            Passed to :meth:`plot`.

        Returns
        -------
        DepthDisplay

        Raises
        ------
        TypeError
            ``cv_results["params"]`` holds no dicts, as in a table that was read from a file.
        ValueError
            `depth` was not searched, or `scorer_name` is missing.
        ImportError
            matplotlib is missing.
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
        best = best_of(candidates, lambda p: (int(p["depth"]), pooling_name(p)))
        depths = sorted({depth for depth, _ in best})
        scores = place(best, depths, str)
        return cls(np.array(depths), scores, score_name=score_name).plot(ax, **plot_options)
