"""Architecture search from one pass: CNTKRegressorCV and CNTKClassifierCV."""

from __future__ import annotations

import time
import warnings
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from scipy.linalg import LinAlgError, eigh
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from ._blas import one_thread
from ._images import on_host
from ._job import Job
from ._memory import check_memory
from ._path import check_sequence, path_readouts
from ._solvers import ridge_dual
from ._tasks import ClassificationTask, RegressionTask
from .estimators import CNTKClassifier, CNTKRegressor, ImageEstimator, check_alpha
from .kernels import CNTK

if TYPE_CHECKING:
    from typing import Self

    from ._typing import (
        Any,
        ArrayLike,
        Cv,
        Dtype,
        ImageShape,
        Memory,
        Scoring,
        Sequence,
        TrainedLayers,
    )


def leave_one_out(K, targets, alphas):
    """Predictions of each row by regression on the others, for every ridge.

    With K + λ = Q (Λ + λ) Qᵀ, row i misses its target by c_i / G_ii, where c are the dual
    coefficients and G is the inverse of K + λ (Rifkin and Lippert, "Notes on Regularized Least
    Squares", 2007): one eigendecomposition serves all ridges.  λ is relative to the mean of the
    whole diagonal, as in `ridge_dual`.

    Returns
    -------
    ndarray (len(alphas), n) or (len(alphas), n, k)
        NaN for ridges with which the matrix is singular to working precision.
    """
    mean = np.mean(K.diagonal())
    eigenvalues, Q = eigh(K, check_finite=False)
    projected = Q.T @ targets
    squares = Q**2
    predictions = np.full((len(alphas), *targets.shape), np.nan)
    # What rounding makes of eigenvalues of 0.
    smallest = np.finfo(np.float64).eps * len(K) * abs(eigenvalues).max()
    for prediction, alpha in zip(predictions, alphas, strict=True):
        shifted = eigenvalues + alpha * (mean if mean > 0 else 1.0)
        if not shifted[0] > smallest:
            continue
        inverse = 1 / shifted
        dual = Q @ (projected.T * inverse).T
        prediction[...] = targets - (dual.T / (squares @ inverse)).T
    return predictions


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
        job = Job.of(
            images,
            readouts,
            filter_size=self.filter_size,
            flip=self.flip,
            normalize=self.normalize,
            device=self.device,
            dtype=self.dtype,
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
        )
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
        scores, times, failed = _score(
            grams, targets, np.asarray(y), alphas, splits, score, self.n_jobs
        )
        candidates = list(product(readouts, alphas))
        _report_failures(candidates, failed)

        self.cv_results_ = _results(candidates, scores, times)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_score_ = self.cv_results_["mean_test_score"][self.best_index_]
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_estimator_ = self._best_estimator()
        K = grams[self.best_index_ // len(alphas)]
        self.best_estimator_._solve(images, K, targets)
        return self

    def _best_estimator(self):
        """The estimator with the best parameters, and what fit records of the features."""
        searched = ("depth", "gap", "lap")
        names = [name for name in CNTK().get_params() if name not in searched]
        parameters = {name: getattr(self, name) for name in names}
        estimator = self._estimator(**parameters, **self.best_params_)
        for name in ("image_shape_", "n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self.best_estimator_._predict_images(self._check_images(X, reset=False))


def _score(grams, targets, y, alphas, splits, score, n_jobs):
    """Scores (readout, alpha, split), seconds of fitting and scoring likewise, and what failed."""
    n_splits = 1 if splits is None else len(splits)

    def evaluate(K, split):
        start = time.perf_counter()
        if splits is None:
            rows, predictions = slice(None), leave_one_out(K, targets, alphas)
        else:
            rows, predictions = _hold_out(K, targets, alphas, *splits[split])
        fitted = time.perf_counter()
        failed = [not np.isfinite(prediction).all() for prediction in predictions]
        scores = [
            np.nan if fails else score(prediction, y[rows])
            for prediction, fails in zip(predictions, failed, strict=True)
        ]
        scored = time.perf_counter()
        times = (fitted - start) / len(alphas), (scored - fitted) / len(alphas)
        return [(value, *times, fails) for value, fails in zip(scores, failed, strict=True)]

    # Many small systems: one a thread is faster than one after the other on all of them.
    with one_thread():
        evaluated = Parallel(n_jobs, prefer="threads")(
            delayed(evaluate)(K, split) for K in grams for split in range(n_splits)
        )
    evaluated = np.reshape(evaluated, (len(grams), n_splits, len(alphas), 4))
    scores, *times, failed = np.moveaxis(evaluated, (3, 2), (0, 2))
    return scores, np.array(times), failed.astype(bool)


def _hold_out(K, targets, alphas, train, test):
    """Test rows, and their predictions by regression on the training rows for every ridge.

    NaN where the matrix is not positive definite.
    """
    cross = K[np.ix_(test, train)]
    predictions = np.full((len(alphas), len(test), *targets.shape[1:]), np.nan)
    for prediction, alpha in zip(predictions, alphas, strict=True):
        try:
            dual = ridge_dual(K[np.ix_(train, train)], targets[train], alpha)
        except LinAlgError:
            continue
        prediction[...] = cross @ dual
    return test, predictions


def _report_failures(candidates, failed):
    """Warn of candidates that failed (readout, alpha, split), and raise if all did."""
    failed = failed.reshape(len(candidates), -1)
    named = [
        f"depth={readout.depth}, gap={readout.gap}, lap={readout.lap}, alpha={alpha} "
        f"({fails.sum()} of {len(fails)} fits)"
        for (readout, alpha), fails in zip(candidates, failed, strict=True)
        if fails.any()
    ]
    if not named:
        return
    message = (
        "their kernel matrix is not positive definite to working precision, as with images that "
        "occur twice, or their predictions are not finite: use larger alphas, or "
        f"dtype='float64'. They are {'; '.join(named)}."
    )
    if len(named) == len(candidates):
        raise LinAlgError(f"All {len(candidates)} candidates failed: {message}")
    warnings.warn(
        f"{len(named)} of {len(candidates)} candidates failed, and score NaN: {message}",
        FitFailedWarning,
        stacklevel=3,
    )


def _results(candidates, scores, times):
    """`cv_results_` with the columns of GridSearchCV, from arrays (readout, alpha, split)."""
    scores = scores.reshape(len(candidates), -1)
    times = times.reshape(2, len(candidates), -1)
    results = {}
    for name, seconds in zip(("fit", "score"), times, strict=True):
        results[f"mean_{name}_time"] = seconds.mean(axis=1)
        results[f"std_{name}_time"] = seconds.std(axis=1)
    params = [
        {"depth": readout.depth, "gap": readout.gap, "lap": readout.lap, "alpha": alpha}
        for readout, alpha in candidates
    ]
    for name in params[0]:
        column: Any = np.ma.masked_array([param[name] for param in params])
        results[f"param_{name}"] = column
    results["params"] = params
    for split, column in enumerate(scores.T):
        results[f"split{split}_test_score"] = column
    results["mean_test_score"] = scores.mean(axis=1)
    results["std_test_score"] = scores.std(axis=1)
    # Candidates whose score is not a number come last.
    order = np.where(np.isnan(scores.mean(axis=1)), -np.inf, scores.mean(axis=1))
    results["rank_test_score"] = rankdata(-order, method="min").astype(np.int32)
    return results


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
