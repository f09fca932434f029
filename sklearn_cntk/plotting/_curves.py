"""Lines of mean scores with their spread over folds, for displays of depth and of size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.checks import check_choice
from .._support.docstrings import fill_docs
from ._matplotlib import import_pyplot, line_style, merged
from ._results import axis_label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from .._support.typing import ArrayLike, Spread

_SPREADS = ("fill_between", "errorbar", None)


@fill_docs
class CurveDisplay:
    """Base class that draws ``scores``, {label: (n_points, n_splits)}, against ``_points()``."""

    scores: Mapping[str, ArrayLike]
    score_name: str

    if TYPE_CHECKING:
        lines_: list[Line2D]
        fill_between_: list[Any] | None
        errorbar_: list[Any] | None
        ax_: Axes
        figure_: Figure

    def plot(
        self,
        ax: Axes | None = None,
        *,
        std_display_style: Spread = "fill_between",
        line_kw: dict[str, Any] | None = None,
        spread_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        {ax}
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
        {no_matplotlib}
        """
        self._draw(ax, std_display_style, line_kw, spread_kw)
        self._draw_points(self.ax_)
        return self

    def _points(self) -> ArrayLike:
        """Return the values on the horizontal axis."""
        raise NotImplementedError

    def _draw_points(self, ax: Axes) -> None:
        """Draw the horizontal axis."""
        raise NotImplementedError

    def _draw(self, ax, std_display_style, line_kw, spread_kw):
        """Draw everything but the horizontal axis."""
        check_choice("std_display_style", std_display_style, _SPREADS)
        plt = import_pyplot(f"{type(self).__name__}.plot")
        from matplotlib.collections import Collection
        from matplotlib.lines import Line2D

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        points = np.asarray(self._points())
        self.lines_, spreads = [], []
        for k, (label, scores) in enumerate(self.scores.items()):
            scores = np.asarray(scores, dtype=float)
            mean, std = scores.mean(axis=1), scores.std(axis=1)
            known = ~np.isnan(mean)  # not every pooling need have been tried at every depth
            x, mean, std = points[known], mean[known], std[known]
            options = merged({**line_style(k), "label": label}, line_kw, Line2D)
            (line,) = ax.plot(x, mean, **options)
            self.lines_.append(line)
            if scores.shape[1] == 1 or std_display_style is None:
                continue  # one split has no spread
            color = line.get_color()
            if std_display_style == "fill_between":
                look = {"alpha": 0.2, "color": color, "linewidth": 0}
                look = merged(look, spread_kw, Collection)
                spreads.append(ax.fill_between(x, mean - std, mean + std, **look))
            else:
                look = merged({"color": color, "capsize": 3, "fmt": "none"}, spread_kw, Line2D)
                spreads.append(ax.errorbar(x, mean, std, **look))
        filled = spreads and std_display_style == "fill_between"
        self.fill_between_ = spreads if filled else None
        self.errorbar_ = spreads if spreads and not filled else None
        ax.set_ylabel(axis_label(self.score_name))
        if len(self.scores) > 1:
            ax.legend()
        ax.grid(alpha=0.25)
        self.ax_, self.figure_ = ax, ax.figure


def check_curves(points, scores, name):
    """Raise unless every array of scores has a row for each point."""
    if not scores:
        raise ValueError("scores is empty: give at least one line, {label: (n_points, n_splits)}.")
    for label, values in scores.items():
        shape = np.shape(values)
        if len(shape) != 2 or shape[0] != len(points):
            raise ValueError(
                f"scores[{label!r}] has shape {shape}: use ({len(points)}, n_splits), one row for "
                f"each of the {len(points)} {name}."
            )


def place(best, points, label_of):
    """Return scores (n_points, n_splits) by label from a dict {(point, group): Candidate}."""
    n_splits = len(next(iter(best.values())).scores)
    scores = {}
    for (point, group), candidate in best.items():
        label = label_of(group)
        if label not in scores:
            scores[label] = np.full((len(points), n_splits), np.nan)
        scores[label][points.index(point)] = candidate.scores
    return scores
