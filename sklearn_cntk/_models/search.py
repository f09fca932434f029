"""Searches: what those for regression and for classification share."""

from __future__ import annotations

import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy.linalg import LinAlgError
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from .._support.architecture import OF_PLAIN, depths_of, path_readouts
from .._support.checks import check_alpha, check_sequence
from .._support.docstrings import fill_docs
from .._support.images import on_host
from .._support.parameters import declared
from .._support.ram import check_memory
from .base import ImageEstimator
from .candidates import report_failures, score_candidates, search_results
from .parameters import SearchParameters
from .probabilities import Probabilities
from .tasks import ClassificationTask, RegressionTask

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import ArrayLike


@fill_docs
class KernelSearch(SearchParameters, ImageEstimator):
    """Candidates, their scores, and the best of them, for any task."""

    if TYPE_CHECKING:
        best_params_: dict[str, Any]
        best_score_: float
        best_index_: int
        cv_results_: dict[str, Any]

        _estimator: Any

    def _identity(self, find_temperature):
        """An estimator that takes predicted targets for images.

        `find_temperature` is called where a score wants probabilities.
        """
        raise NotImplementedError

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Compute all Gram matrices in one pass, score the candidates, and fit the best one.

        Parameters
        ----------
        {X}
        {y}

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
        """
        images = self._check_images(X, reset=True)
        y = on_host(y)
        targets, _ = self._encode(images, y)
        check_sequence("alphas", self.alphas, "(1e-5, 1e-2)")
        alphas = [check_alpha(alpha) for alpha in self.alphas]
        if not alphas:
            raise ValueError(f"alphas={self.alphas!r} is empty: give at least one ridge.")
        jobs = self._jobs(images)
        kernels = [self._params_of(network, one) for network, job in jobs for one in job.readouts]
        # The stack, and a workspace of an eigendecomposition for each thread.
        check_memory(
            8 * (len(kernels) + 4 * effective_n_jobs(self.n_jobs)) * len(images) ** 2,
            f"A search of {len(kernels)} Gram matrices",
            "search fewer networks, depths, gaps and laps at a time, or fewer images",
        )
        splits = None
        if self.cv is not None:
            cv = check_cv(self.cv, y, classifier=is_classifier(self))
            splits = list(cv.split(images, y))
        fit_intercept = self._fits_intercept()
        scorer = check_scoring(self._identity(None), scoring=self.scoring)

        def score(predictions, y_true, find_temperature):
            return scorer(self._identity(find_temperature), predictions, y_true)

        grams = np.concatenate([job.gram(images) for _, job in jobs])
        scores, times, failed = score_candidates(
            grams, targets, np.asarray(y), alphas, splits, score, self.n_jobs, fit_intercept
        )
        candidates = [params | {"alpha": alpha} for params, alpha in product(kernels, alphas)]
        report_failures(candidates, failed)

        scores = scores.reshape(len(candidates), -1)
        while True:
            self.cv_results_ = search_results(candidates, scores, times)
            self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
            self.best_score_ = self.cv_results_["mean_test_score"][self.best_index_]
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            self.best_estimator_ = self._best_estimator()
            # A copy: what fails leaves nothing for other ridges.
            K = grams[self.best_index_ // len(alphas)].copy()
            try:
                self.best_estimator_._solve(images, K, targets)
            except LinAlgError as error:
                scores[self.best_index_] = np.nan
                if np.isnan(scores.mean(axis=1)).all():
                    raise
                warnings.warn(
                    f"The best candidate, {self.best_params_}, scores NaN after all, since it "
                    f"cannot be fitted to all rows, and the next one is taken: {error}",
                    FitFailedWarning,
                    stacklevel=2,
                )
            else:
                return self

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

    def _best_estimator(self):
        """The estimator with the best parameters, and what fit records of the features."""
        network = self.best_params_.get("network", "plain")
        estimator = self._estimator(**self._fixed(network) | self.best_params_)
        for name in ("image_shape_", "n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self.best_estimator_._predict_images(self._check_images(X, reset=False))


class _Identity(BaseEstimator):
    """An estimator whose "images" are predicted targets already, for scikit-learn's scorers."""

    def fit(self, X, y):
        return self

    def _predict_targets(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


class IdentityRegressor(RegressionTask, _Identity):
    pass


class IdentityClassifier(Probabilities, ClassificationTask, _Identity):
    """Its classes and the function that finds its temperature are set by whoever makes it."""

    @property
    def _temperature(self):
        return self.find_temperature()
