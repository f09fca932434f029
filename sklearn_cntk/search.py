"""Architecture search from one pass: CNTKRegressorCV and CNTKClassifierCV."""

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

from ._models.base import ImageEstimator
from ._models.candidates import report_failures, score_candidates, search_results
from ._models.tasks import ClassificationTask, RegressionTask
from ._support.checks import check_alpha, check_sequence
from ._support.images import on_host
from ._support.network import path_readouts
from ._support.ram import check_memory
from .estimators import CNTKClassifier, CNTKRegressor
from .kernels import CNTK

if TYPE_CHECKING:
    from typing import Self

    from ._store.entries import Memory
    from ._support.typing import (
        Any,
        ArrayLike,
        Cv,
        Dtype,
        ImageShape,
        Scoring,
        Sequence,
        TrainedLayers,
    )


class _CNTKSearch(ImageEstimator):
    """What the searches for regression and classification share."""

    if TYPE_CHECKING:
        best_params_: dict[str, Any]
        best_score_: float
        best_index_: int
        cv_results_: dict[str, Any]

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 6, 11),
        gaps: Sequence[bool] = (True, False),
        *,
        laps: Sequence[int] = (),
        alphas: Sequence[float] = (1e-5, 1e-3, 1e-1),
        cv: Cv = None,
        scoring: Scoring = None,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        flip: bool = False,
        normalize: bool = False,
        device: str = "auto",
        dtype: Dtype = "float32",
        n_jobs: int | None = -1,
        memory: Memory = None,
        verbose: int | bool = 0,
    ) -> None:
        self.depths = depths
        self.gaps = gaps
        self.laps = laps
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.flip = flip
        self.normalize = normalize
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Compute all Gram matrices in one pass, score the candidates, and fit the best one.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
            Images, or rows (see `image_shape`): finite real numbers of any dtype.
        y : array-like (n,), or (n, n_targets) for regression

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name.
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
        alphas = [float(alpha) for alpha in self.alphas if check_alpha(alpha) is None]
        if not alphas:
            raise ValueError(f"alphas={self.alphas!r} is empty: give at least one ridge.")
        readouts = path_readouts(
            self.depths,
            self.gaps,
            self.laps,
            (self.trained_layers,),
            names=("depths", "gaps", "laps"),
        )
        job = CNTK(**self._fixed())._job(images, readouts)
        # The stack, and a workspace of an eigendecomposition for each thread.
        check_memory(
            8 * (len(readouts) + 4 * effective_n_jobs(self.n_jobs)) * len(images) ** 2,
            f"A search of {len(readouts)} Gram matrices",
            "search fewer depths, gaps and laps at a time, or fewer images",
        )
        splits = None
        if self.cv is not None:
            cv = check_cv(self.cv, y, classifier=is_classifier(self))
            splits = list(cv.split(images, y))
        identity = self._identity()
        scorer = check_scoring(identity, scoring=self.scoring)

        def score(predictions, y_true):
            return scorer(identity, predictions, y_true)

        grams = job.gram(images)
        scores, times, failed = score_candidates(
            grams, targets, np.asarray(y), alphas, splits, score, self.n_jobs
        )
        candidates = list(product(readouts, alphas))
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

    def _fixed(self):
        """The kernel's parameters that are not searched over."""
        searched = ("depth", "gap", "lap")
        return {n: getattr(self, n) for n in CNTK().get_params() if n not in searched}

    def _best_estimator(self):
        """The estimator with the best parameters, and what fit records of the features."""
        estimator = self._estimator(**self._fixed(), **self.best_params_)
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


class _IdentityRegressor(RegressionTask, _Identity):
    pass


class _IdentityClassifier(ClassificationTask, _Identity):
    pass


class CNTKRegressorCV(RegressionTask, _CNTKSearch):
    """:class:`CNTKRegressor` with the best depth, pooling and ridge, found in one pass.

    The kernels of all candidates come from one pass at the largest depth
    (:func:`cntk_path`).  Every candidate is scored by leave-one-out in closed form, from one
    eigendecomposition a kernel, or, with `cv`, by slices of the same Gram matrices.

    Parameters
    ----------
    depths : sequence of int, default=(3, 4, 6, 11)
        Candidate depths; all cost as much as the largest.
    gaps : sequence of bool, default=(True, False)
        Candidate poolings: global average pooling, or flattening.  (True, False) costs as much
        as (True,).
    laps : sequence of int, default=()
        Candidate radii of local average pooling, in addition to `gaps`.
    alphas : sequence of float, default=(1e-5, 1e-3, 1e-1)
        Candidate ridges, relative to the mean of the Gram matrix's diagonal.
    cv : int, cross-validation generator, iterable or None, default=None
        As in :class:`~sklearn.model_selection.GridSearchCV`, but None is leave-one-out.
    scoring : str, callable or None, default=None
        As in :class:`~sklearn.model_selection.GridSearchCV`.  With leave-one-out the score is
        that of all predictions together.
    trained_layers : {"all", "hidden", "last"}, default="all"
        See :class:`CNTK`.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    flip : bool, default=False
        Train on the images and their mirror images, see :class:`CNTK`.
    normalize : bool, default=False
        Divide the kernels by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernels.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernels' recursion.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernels, as in joblib.
    memory : str, path-like, KernelStore or None, default=None
        Folder that keeps computed kernel entries, see :class:`KernelStore`.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    best_params_ : dict
        ``depth``, ``gap``, ``lap`` and ``alpha`` of the best candidate.
    best_score_ : float
    best_index_ : int
        Its place in ``cv_results_``.
    best_estimator_ : CNTKRegressor
        Fitted with all rows.
    cv_results_ : dict of arrays
        With the columns of GridSearchCV; leave-one-out counts as one split.  Times are of the
        linear algebra alone.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    CNTKRegressor : One architecture.
    cntk_path : The Gram matrices alone.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKRegressorCV
    >>> images = load_digits().images
    >>> ink = images.sum(axis=(1, 2))
    >>> search = CNTKRegressorCV(depths=(2, 3)).fit(images[:100], ink[:100])
    >>> sorted(search.best_params_)
    ['alpha', 'depth', 'gap', 'lap']
    >>> bool(search.score(images[100:150], ink[100:150]) > 0.9)
    True
    """

    _estimator = CNTKRegressor

    if TYPE_CHECKING:
        best_estimator_: CNTKRegressor

    def _identity(self):
        return _IdentityRegressor()


class CNTKClassifierCV(ClassificationTask, _CNTKSearch):
    """:class:`CNTKClassifier` with the best depth, pooling and ridge, found in one pass.

    The kernels of all candidates come from one pass at the largest depth
    (:func:`cntk_path`).  Every candidate is scored by leave-one-out in closed form, from one
    eigendecomposition a kernel, or, with `cv`, by slices of the same Gram matrices.

    Parameters
    ----------
    depths : sequence of int, default=(3, 4, 6, 11)
        Candidate depths; all cost as much as the largest.
    gaps : sequence of bool, default=(True, False)
        Candidate poolings: global average pooling, or flattening.  (True, False) costs as much
        as (True,).
    laps : sequence of int, default=()
        Candidate radii of local average pooling, in addition to `gaps`.
    alphas : sequence of float, default=(1e-5, 1e-3, 1e-1)
        Candidate ridges, relative to the mean of the Gram matrix's diagonal.
    cv : int, cross-validation generator, iterable or None, default=None
        As in :class:`~sklearn.model_selection.GridSearchCV`, but None is leave-one-out.
    scoring : str, callable or None, default=None
        As in :class:`~sklearn.model_selection.GridSearchCV`.  With leave-one-out the score is
        that of all predictions together.
    trained_layers : {"all", "hidden", "last"}, default="all"
        See :class:`CNTK`.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    flip : bool, default=False
        Train on the images and their mirror images, see :class:`CNTK`.
    normalize : bool, default=False
        Divide the kernels by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernels.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernels' recursion.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernels, as in joblib.
    memory : str, path-like, KernelStore or None, default=None
        Folder that keeps computed kernel entries, see :class:`KernelStore`.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    best_params_ : dict
        ``depth``, ``gap``, ``lap`` and ``alpha`` of the best candidate.
    best_score_ : float
    best_index_ : int
        Its place in ``cv_results_``.
    best_estimator_ : CNTKClassifier
        Fitted with all rows.
    cv_results_ : dict of arrays
        With the columns of GridSearchCV; leave-one-out counts as one split.  Times are of the
        linear algebra alone.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    CNTKClassifier : One architecture.
    cntk_path : The Gram matrices alone.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifierCV
    >>> images, labels = load_digits().images, load_digits().target
    >>> search = CNTKClassifierCV(depths=(2, 3, 4)).fit(images[:200], labels[:200])
    >>> sorted(search.best_params_)
    ['alpha', 'depth', 'gap', 'lap']
    >>> bool(search.score(images[200:300], labels[200:300]) > 0.9)
    True
    """

    _estimator = CNTKClassifier

    if TYPE_CHECKING:
        best_estimator_: CNTKClassifier

    def _identity(self):
        identity = _IdentityClassifier()
        identity.classes_ = self.classes_
        return identity
