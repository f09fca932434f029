"""Searches: what those for regression and for classification share."""

from __future__ import annotations

import time
import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import LinAlgError
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import _check_method_params, _num_samples, check_is_fitted

from .._support.architecture import OF_PLAIN, depths_of, path_readouts
from .._support.checks import check_alpha, check_sequence, is_integer
from .._support.docstrings import fill_docs
from .._support.images import on_host
from .._support.parameters import declared
from .._support.ram import check_memory
from .base import ImageEstimator
from .candidates import report_failures, score_candidates, search_results
from .held_out import held_out
from .parameters import SearchParameters
from .planning import SearchEstimate
from .scoring import (
    are_several,
    check_refit,
    chosen_metric,
    evaluate,
    scorers_of,
    scores_by_metric,
    takes_weights,
)
from .splits import checked_split
from .weights import checked_weights, require_some_weight

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import ArrayLike


@fill_docs
class KernelSearch(SearchParameters, SearchEstimate, ImageEstimator):
    """Candidates, their scores, and the best of them, for any task."""

    if TYPE_CHECKING:
        best_params_: dict[str, Any]
        best_score_: float
        best_index_: int
        cv_results_: dict[str, Any]
        multimetric_: bool
        n_splits_: int
        refit_time_: float
        scorer_: Any

        _estimator: Any

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Compute all Gram matrices in one pass, score the candidates, and fit the best one.

        Parameters
        ----------
        {X}
        {y}
        sample_weight : array-like (n,) or float, default=None
            A weight of 2 equals giving a row twice, in fits and in the scores of metrics that take
            weights; with metadata routing, scorers get them that ask for them.
        **params : dict
            ``groups`` of the rows, for splitters `cv` that keep them together; with metadata
            routing whatever `cv` and `scoring` ask for.

        Returns
        -------
        self

        Raises
        ------
        {unusable}
        MemoryError
            The Gram matrices do not fit; nothing is computed then.
        LinAlgError
            No candidate could be fitted.

        Warns
        -----
        FitFailedWarning
            Some candidates could not be fitted, because `alpha` is too small: their score is NaN,
            and their rank the last.
        UserWarning
            Scores are NaN because scoring failed.
        """
        if hasattr(self, "best_score_"):  # which a function as `refit` leaves out
            del self.best_score_
        images = self._check_images(X, reset=True)
        X, y = on_host(X), on_host(y)
        targets, _ = self._encode(images, y)
        X, y = indexable(X, y)
        weights = checked_weights(sample_weight, images)
        require_some_weight(weights)
        alphas = self._checked_alphas()
        jobs = self._jobs(images)
        kernels = [self._params_of(network, one) for network, job in jobs for one in job.readouts]
        # The stack, and a workspace of an eigendecomposition for each thread.
        check_memory(
            8 * (len(kernels) + 4 * effective_n_jobs(self.n_jobs)) * len(images) ** 2,
            f"A search of {len(kernels)} Gram matrices",
            "search fewer networks, depths, gaps and laps at a time, or fewer images",
        )
        fit_intercept = self._fits_intercept()
        scorers = scorers_of(self, self.scoring)
        check_refit(self.refit, self.scoring)
        of_splitter, of_scorers = self._route(scorers, weights, params)
        splits = self._splits(X, y, weights, of_splitter)
        tests = [np.arange(len(images))] if splits is None else [test for _, test in splits]
        score = self._scorer_of_predictions(X, y, tests, kernels, alphas, scorers, of_scorers)

        grams, seconds = _timed_grams(jobs, images)
        results, times, failed = score_candidates(
            grams, targets, weights, alphas, splits, score, self.n_jobs, fit_intercept
        )
        # A pass takes its time for all of its candidates and splits together.
        times[0] += (np.array(seconds) / times[0, 0].size)[:, None, None]
        candidates = [params | {"alpha": alpha} for params, alpha in product(kernels, alphas)]
        report_failures(candidates, failed)
        names = list(scorers) if are_several(self.scoring) else None
        shape = len(candidates), len(tests)
        scores = {
            name: values.reshape(shape)
            for name, values in scores_by_metric(results, names, self.refit).items()
        }
        self.multimetric_ = names is not None or list(scores) != ["score"]
        self.scorer_ = scorers["score"] if names is None else scorers
        self.n_splits_ = len(tests)
        times = times.reshape(2, *shape)
        return self._fit_best(images, targets, weights, grams, candidates, scores, times)

    def _scorer_of_predictions(self, X, y, tests, kernels, alphas, scorers, of_scorers):
        """The function `score` of `score_candidates`."""
        of_tests = [
            {name: _check_method_params(X, one, test) for name, one in of_scorers.items()}
            for test in tests
        ]

        def score(readout, split, predictions, temperatures):
            found: list[dict[str, Any]] = []
            for alpha, predicted, temperature in zip(
                alphas, predictions, temperatures, strict=True
            ):
                if predicted is None:
                    found.append({})
                    continue
                # Copies, as scorers may change what they get.
                part, y_true = (_safe_indexing(data, tests[split]) for data in (X, y))
                params = kernels[readout] | {"alpha": alpha}
                estimator = held_out(self, params, part, predicted, temperature)
                found.append(evaluate(scorers, estimator, part, y_true, of_tests[split]))
            return found

        return score

    def _fit_best(self, images, targets, weights, grams, candidates, scores, times):
        """Fit the best candidate that can be fitted to all rows; scores of others become NaN."""
        metric = chosen_metric(self.refit, scores)
        while True:
            self.cv_results_ = search_results(candidates, scores, times)
            self.best_index_ = self._best_index(metric)
            if metric is not None:
                self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            self.best_estimator_ = self._candidate(self.best_params_)
            # A copy: what fails leaves nothing for other ridges.
            K = grams[self.best_index_ * len(grams) // len(candidates)].copy()
            start = time.perf_counter()
            try:
                self.best_estimator_._solve(images, K, targets, weights)
            except LinAlgError as error:
                for values in scores.values():
                    values[self.best_index_] = np.nan
                if metric is None or np.isnan(scores[metric].mean(axis=1)).all():
                    raise
                warnings.warn(
                    f"The best candidate, {self.best_params_}, scores NaN after all, since it "
                    f"cannot be fitted to all rows, and the next one is taken: {error}",
                    FitFailedWarning,
                    stacklevel=3,
                )
            else:
                self.refit_time_ = time.perf_counter() - start
                return self

    def _checked_alphas(self):
        check_sequence("alphas", self.alphas, "(1e-5, 1e-2)")
        alphas = [check_alpha(alpha) for alpha in self.alphas]
        if not alphas:
            raise ValueError(f"alphas={self.alphas!r} is empty: give at least one ridge.")
        return alphas

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata `fit` takes, and where they go.

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
        """Metadata of the splitter, and of scorers by their names."""
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
                "candidates are fitted with weights, and compared without.",
                UserWarning,
                stacklevel=3,
            )
        return params, weighted

    @staticmethod
    def _of_scorers(routed, scorers):
        return {name: routed[f"scorer{number}"].score for number, name in enumerate(scorers)}

    def _splits(self, X, y, weights, params):
        """Pairs of row indices, or None for leave-one-out."""
        if self.cv is None:
            if params.get("groups") is not None:
                raise ValueError(
                    "groups has no use with cv=None, which leaves one row out at a time: set cv to "
                    "a splitter that keeps groups together, such as GroupKFold()."
                )
            return None
        cv = check_cv(self.cv, y, classifier=is_classifier(self))
        params = {name: on_host(value) for name, value in params.items()}
        splits = [
            checked_split(train, test, _num_samples(X)) for train, test in cv.split(X, y, **params)
        ]
        if not splits:
            raise ValueError("cv gives no splits: an iterator can be read once, a list again.")
        for number, (train, _) in enumerate(splits):
            if weights is not None and not weights[train].any():
                raise ValueError(
                    f"sample_weight is 0 for all training rows of split {number} of cv: use "
                    "another cv, which mixes the rows, or give one of them a weight."
                )
        return splits

    def _best_index(self, metric):
        """The best candidate, by a metric or as `refit` says."""
        if not callable(self.refit):
            return int(self.cv_results_[f"rank_test_{metric}"].argmin())
        index = self.refit(self.cv_results_)
        n_candidates = len(self.cv_results_["params"])
        if not is_integer(index) or not 0 <= index < n_candidates:
            raise ValueError(
                f"refit returned {index!r}: the index of one of {n_candidates} candidates is "
                "needed."
            )
        return int(index)

    def _fits_intercept(self):
        """Whether candidates are fitted to targets without their mean."""
        return False

    def _jobs(self, images):
        """Each network with the job of its Gram matrices."""
        check_sequence("networks", self.networks, "('plain', 'myrtle5')")
        networks = list(dict.fromkeys(self.networks))
        if not networks:
            raise ValueError(f"networks={self.networks!r} is empty: give at least one network.")
        gaps = self.gaps
        if images.shape[1:3] == (1, 1) and np.iterable(gaps):  # of one pixel, all pools are one
            gaps = list(gaps)[:1]
        jobs = []
        for network in networks:
            readouts = path_readouts(
                depths_of(network, self.depths, networks),
                gaps,
                self.laps,
                (self.trained_layers,),
                network=network,
                frozen_layers=self.frozen_layers,
                names=("depths", "gaps", "laps"),
            )
            jobs.append(
                (network, self._estimator(**self._fixed(network))._kernel()._job(images, readouts))
            )
        return jobs

    def _params_of(self, network, readout):
        """The estimator's parameters of a readout; its network, if others than plain are there."""
        named = {} if tuple(self.networks) == ("plain",) else {"network": network}
        return {**named, "depth": readout.depth, "gap": readout.gap, "lap": readout.lap}

    def _fixed(self, network):
        """The estimator's parameters that are not searched over, for a network."""
        names = set(declared(self._estimator)) & set(declared(type(self)))
        if network != "plain":
            names -= set(OF_PLAIN)
        return {"network": network, **{name: getattr(self, name) for name in sorted(names)}}

    def _candidate(self, params, estimator_class=None):
        """An estimator with the parameters of a candidate, and what fit records of the features."""
        fixed = self._fixed(params.get("network", "plain"))
        estimator = (estimator_class or self._estimator)(**fixed | params)
        for name in ("image_shape_", "n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self.best_estimator_._predict_images(self._check_images(X, reset=False))


@fill_docs
class SearchScore:
    """`score` of a search, in place of its task's."""

    if TYPE_CHECKING:
        refit: Any
        scorer_: Any
        best_estimator_: Any
        _of_scorers: Any

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> float:
        """The score by `scoring`, or of several metrics by that of `refit`.

        Parameters
        ----------
        {X_seen}
        {y}
        sample_weight : array-like (m,), default=None
        **params : dict
            With metadata routing, what the scorer asks for.

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
                f"refit is a function, and scoring gives {list(scorers)}: there is no one score. "
                "Set refit to the name of a metric, or call one of scorer_."
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


def _timed_grams(jobs, images):
    """The Gram matrices of all jobs in one array, and the seconds that each took by its share."""
    grams, seconds = [], []
    for _, job in jobs:
        start = time.perf_counter()
        grams.append(job.gram(images))
        seconds += [(time.perf_counter() - start) / len(job.readouts)] * len(job.readouts)
    return np.concatenate(grams), seconds
