"""What searches for regression and for classification share."""

from __future__ import annotations

import time
import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import LinAlgError
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _check_method_params, check_is_fitted

from .._support.architecture import OF_PLAIN, depths_of, path_readouts
from .._support.checks import check_alpha, check_sequence, is_integer
from .._support.docstrings import fill_docs
from .._support.images import on_host
from .._support.parameters import declared
from .._support.ram import check_memory
from .base import ImageEstimator
from .candidates import report_failures, score_candidates, search_results
from .held_out import held_out
from .parameters import SearchParameters, SolverParameters
from .planning import SearchEstimate
from .scoring import (
    are_several,
    check_refit,
    chosen_metric,
    evaluate,
    scorers_of,
    scores_by_metric,
)
from .splits import splits_of
from .weights import checked_weights, require_some_weight

if TYPE_CHECKING:
    from typing import Any, ClassVar, Self

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
        _route: Any

    # What one pass cannot search, by the names of the estimator's parameters.
    _remedies: ClassVar[dict[str, str]] = dict.fromkeys(
        declared(SolverParameters).keys() | {"train_size", "training_time"},
        "it belongs to CNTKClassifier and CNTKRegressor, which GridSearchCV can search over.",
    )

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any
    ) -> Self:
        """Compute all Gram matrices in one pass, score the candidates, and fit the best one.

        Parameters
        ----------
        {X}
        {y}
        sample_weight : array-like (n,) or float, default=None
            Weights of the rows: a weight of 2 is equivalent to giving a row twice, in fits and in
            the scores of metrics that accept weights.  With metadata routing, scorers that request
            weights get them.
        **params : dict
            ``groups`` of the rows, for splitters `cv` that keep them together; with metadata
            routing, whatever `cv` and `scoring` request.

        Returns
        -------
        self

        Raises
        ------
        {unusable}
        MemoryError
            The Gram matrices do not fit into memory; nothing is computed then.
        LinAlgError
            No candidate could be fitted.

        Warns
        -----
        FitFailedWarning
            Some candidates could not be fitted, because `alpha` is too small: their score is NaN,
            and they rank last.
        UserWarning
            Scores are NaN because scoring failed.
        """
        if hasattr(self, "best_score_"):  # not set if `refit` is a function
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
        # All Gram matrices, and workspace for an eigendecomposition in each thread.
        check_memory(
            8 * (len(kernels) + 4 * effective_n_jobs(self.n_jobs)) * len(images) ** 2,
            f"A search of {len(kernels)} Gram matrices",
            "search fewer networks, depths, gaps and laps at a time, or fewer images",
        )
        fit_intercept = self._fits_intercept()
        scorers = scorers_of(self, self.scoring)
        check_refit(self.refit, self.scoring)
        of_splitter, of_scorers = self._route(scorers, weights, params)
        splits = splits_of(self.cv, X, y, weights, of_splitter, classifier=is_classifier(self))
        tests = [np.arange(len(images))] if splits is None else [test for _, test in splits]
        score = self._scorer_of_predictions(X, y, tests, kernels, alphas, scorers, of_scorers)

        grams, seconds = _timed_grams(jobs, images)
        results, times, failed = score_candidates(
            grams, targets, weights, alphas, splits, score, self.n_jobs, fit_intercept
        )
        # All candidates and splits of a pass share its time.
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
        """Return the function `score` of `score_candidates`."""
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
        """Fit the best candidate that can be fitted to all rows; failed ones score NaN."""
        metric = chosen_metric(self.refit, scores)
        while True:
            self.cv_results_ = search_results(candidates, scores, times)
            self.best_index_ = self._best_index(metric)
            if metric is not None:
                self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            self.best_estimator_ = self._candidate(self.best_params_)
            # A copy, since a failed fit leaves nothing for other ridges.
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
                    f"cannot be fitted to all rows, and the next best is used: {error}",
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

    def _best_index(self, metric):
        """Return the index of the best candidate, by a metric or by the function `refit`."""
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
        """Return each network with the job of its Gram matrices."""
        check_sequence("networks", self.networks, "('plain', 'myrtle5')")
        networks = list(dict.fromkeys(self.networks))
        if not networks:
            raise ValueError(f"networks={self.networks!r} is empty: give at least one network.")
        gaps = self.gaps
        if images.shape[1:3] == (1, 1) and np.iterable(gaps):  # poolings are equal
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
        """Return the estimator's parameters of a readout; its network, unless all are plain."""
        named = {} if tuple(self.networks) == ("plain",) else {"network": network}
        return {**named, "depth": readout.depth, "gap": readout.gap, "lap": readout.lap}

    def _fixed(self, network):
        """Return the estimator's parameters that are not searched over, for a network."""
        names = set(declared(self._estimator)) & set(declared(type(self)))
        if network != "plain":
            names -= set(OF_PLAIN)
        return {"network": network, **{name: getattr(self, name) for name in sorted(names)}}

    def _candidate(self, params, estimator_class=None):
        """Return an estimator with a candidate's parameters and what fit records of features."""
        fixed = self._fixed(params.get("network", "plain"))
        estimator = (estimator_class or self._estimator)(**fixed | params)
        for name in ("image_shape_", "n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self.best_estimator_._predict_images(self._check_images(X, reset=False))


def _timed_grams(jobs, images):
    """Return the Gram matrices of all jobs in one array, and each matrix's share of the seconds."""
    grams, seconds = [], []
    for _, job in jobs:
        start = time.perf_counter()
        grams.append(job.gram(images))
        seconds += [(time.perf_counter() - start) / len(job.readouts)] * len(job.readouts)
    return np.concatenate(grams), seconds
