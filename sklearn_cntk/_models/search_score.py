"""The score of a search, and the metadata that its splitter and its scorers are given."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from .._support.docstrings import fill_docs
from .._support.images import on_host
from .scoring import chosen_metric, scorers_of, takes_weights

if TYPE_CHECKING:
    from typing import Any

    from .._support.typing import ArrayLike


@fill_docs
class SearchScore:
    """`score` of a search, which replaces that of its task, and metadata routing."""

    if TYPE_CHECKING:
        cv: Any
        refit: Any
        scoring: Any
        scorer_: Any
        best_estimator_: Any

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> float:
        """Return the score by `scoring`; with several metrics, by the one that `refit` names.

        Parameters
        ----------
        {X_seen}
        {y}
        sample_weight : array-like (m,), default=None
        **params : dict
            With metadata routing, what the scorer requests.

        Returns
        -------
        float
            Accuracy or R² if `scoring` is None.
        """
        check_is_fitted(self)
        y, sample_weight = on_host(y), on_host(sample_weight)
        scorers = self.scorer_ if isinstance(self.scorer_, dict) else {"score": self.scorer_}
        name = chosen_metric(self.refit, scorers) if len(scorers) > 1 else next(iter(scorers))
        if name is None:
            raise ValueError(
                f"refit is a function, and scoring gives {list(scorers)}: there is no single "
                "score. Set refit to the name of a metric, or call one of scorer_."
            )
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "score", **given, **params)
            given = self._of_scorers(routed, scorers)[name]
        elif params:
            raise TypeError(
                f"{type(self).__name__}.score takes X, y and sample_weight, not "
                f"{', '.join(sorted(params))}, unless metadata routing is enabled."
            )
        value = scorers[name](self.best_estimator_, X, y, **given)
        return value[chosen_metric(self.refit, value)] if isinstance(value, dict) else value

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which metadata `fit` accepts, and where they go.

        Returns
        -------
        MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        to_splitter = MethodMapping().add(caller="fit", callee="split")
        router.add(splitter=self.cv, method_mapping=to_splitter)
        to_scorer = MethodMapping().add(caller="fit", callee="score")
        to_scorer.add(caller="score", callee="score")
        for number, scorer in enumerate(scorers_of(self, self.scoring).values()):
            router.add(**{f"scorer{number}": scorer}, method_mapping=to_scorer)
        return router

    def _route(self, scorers, sample_weight, params):
        """Return the metadata of the splitter, and of scorers by their names."""
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **given, **params)
            return routed.splitter.split, self._of_scorers(routed, scorers)
        unknown = sorted(set(params) - {"groups"})
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.fit takes X, y, sample_weight and groups, not "
                f"{', '.join(unknown)}, unless metadata routing is enabled."
            )
        weighted = {name: given for name, scorer in scorers.items() if takes_weights(scorer)}
        if given and len(weighted) < len(scorers):
            others = ", ".join(name for name in scorers if name not in weighted)
            warnings.warn(
                f"sample_weight is not used by scoring ({others}), which does not accept it: "
                "candidates are fitted with weights, but compared without.",
                UserWarning,
                stacklevel=3,
            )
        return params, weighted

    @staticmethod
    def _of_scorers(routed, scorers):
        return {name: routed[f"scorer{number}"].score for number, name in enumerate(scorers)}
