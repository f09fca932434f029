"""Kernel regression with the CNTK as scikit-learn estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ._linalg.gradient_flow import GradientFlow
from ._linalg.ridge import ridge_dual
from ._linalg.threads import threads_for
from ._models.base import ImageEstimator
from ._models.posterior import Posterior
from ._models.solver import Solver
from ._models.staged import StagedClassification, StagedRegression
from ._models.tasks import ClassificationTask, RegressionTask
from ._models.training_rows import choose_rows
from ._support.checks import check_alpha, check_training_time
from ._support.images import on_host
from .kernels import CNTK

if TYPE_CHECKING:
    from typing import Self

    from ._store.entries import Memory
    from ._support.typing import (
        Any,
        Array,
        ArrayLike,
        Dtype,
        FloatArray,
        ImageShape,
        Landmarks,
        RandomState,
        SolverName,
        TrainedLayers,
    )


class _CNTKEstimator(ImageEstimator):
    """What regression and classification share: images, rows, kernel and dual coefficients."""

    if TYPE_CHECKING:
        dual_coef_: FloatArray
        X_fit_: Array
        n_iter_: int
        kernel_: CNTK

    def __init__(
        self,
        depth: int = 11,
        gap: bool = True,
        *,
        alpha: float = 1e-5,
        train_size: float | None = None,
        training_time: float | None = None,
        lap: int = 0,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        flip: bool = False,
        normalize: bool = False,
        device: str = "auto",
        dtype: Dtype = "float32",
        n_jobs: int | None = -1,
        memory: Memory = None,
        solver: SolverName = "auto",
        n_components: int | None = None,
        landmarks: Landmarks = "uniform",
        gram_store: Any = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        random_state: RandomState = None,
        verbose: int | bool = 0,
    ) -> None:
        self.depth = depth
        self.gap = gap
        self.alpha = alpha
        self.train_size = train_size
        self.training_time = training_time
        self.lap = lap
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.flip = flip
        self.normalize = normalize
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.solver = solver
        self.n_components = n_components
        self.landmarks = landmarks
        self.gram_store = gram_store
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def _kernel(self):
        """The kernel with this estimator's parameters."""
        return CNTK(**{name: getattr(self, name) for name in CNTK().get_params()})

    def _fit(self, X, y, sample_weight):
        """Check everything, choose the rows, and fit the dual coefficients."""
        images = self._check_images(X, reset=True)
        targets, classes = self._encode(images, y)
        check_alpha(self.alpha)
        check_training_time(self.training_time)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                on_host(sample_weight), images, dtype=np.float64, ensure_non_negative=True
            )
        rows = choose_rows(self.train_size, len(images), self.random_state, classes)
        if rows is not None:
            images, targets = images[rows], targets[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        if sample_weight is not None and not sample_weight.any():
            raise ValueError("sample_weight is 0 for every training row: give one a weight.")
        solver, job = Solver.of(self, len(images)), self._kernel()._job(images)
        if solver.name == "nystroem":
            kept, dual = solver.on_landmarks(job, images, targets, sample_weight)
            return self._keep(images[kept], dual)
        if solver.name == "cg":
            dual, n_iter = solver.iterate(job, images, targets, sample_weight)
            return self._keep(images, dual, targets, sample_weight, n_iter)
        if solver.device is not None:
            dual = solver.dual_on_device(job, images, targets, sample_weight)
            return self._keep(images, dual, targets, sample_weight)
        return self._solve(images, solver.gram(job, images), targets, sample_weight)

    def _solve(self, images, K, targets, sample_weight=None):
        """Fit the dual coefficients, given the Gram matrix `K`, which is overwritten."""
        flow = None
        with threads_for(len(K)):
            if self.training_time is None:
                dual = ridge_dual(K, targets, self.alpha, sample_weight)
            else:
                flow = GradientFlow(K, self.alpha, sample_weight)
                dual = flow.dual(targets, self.training_time)
        return self._keep(images, dual, targets, sample_weight, flow=flow)

    def _keep(self, images, dual, targets=None, sample_weight=None, n_iter=1, flow=None):
        """Keep what predictions need, and of the training what other times of it need."""
        self.dual_coef_ = dual
        self.n_iter_ = n_iter
        self._flow = flow  # an eigendecomposition, which serves other times
        self._fit_alpha, self._fit_time = self.alpha, self.training_time
        self._fit_targets = None if targets is None else targets.copy()
        self._fit_weight = None if sample_weight is None else np.copy(sample_weight)
        # Copies, so that predictions change neither with the caller's array nor by set_params.
        self.X_fit_ = images.copy()
        self.kernel_ = self._kernel()
        normalize = self.kernel_.normalize
        self._fit_diagonals = self.kernel_._job(images).raw_diagonals(images) if normalize else None
        return self

    def _predict_targets(self, X):
        check_is_fitted(self)
        return self._predict_images(self._check_images(X, reset=False))

    def _predict_images(self, images, dual_coef=None):
        """Predicted targets; by blocks of rows, so memory does not grow with their number."""
        dual_coef = self.dual_coef_ if dual_coef is None else dual_coef
        predicted = np.empty((len(images), *dual_coef.shape[1:]))
        blocks = self.kernel_._job(images).blocks(
            images, self.X_fit_, y_diagonals=self._fit_diagonals
        )
        for rows, (K,) in blocks:
            with threads_for(len(self.X_fit_)):
                predicted[rows] = K @ dual_coef
        return predicted


class CNTKRegressor(Posterior, StagedRegression, RegressionTask, _CNTKEstimator):
    """Regression by an infinitely wide, fully trained convolutional network.

    Kernel ridge regression with :class:`CNTK`: the predictions, in the limit of infinite width,
    of a ReLU network that gradient descent trained to the end on the squared loss ([1]_,
    Theorem 3.2), without its random initial function.

    Parameters
    ----------
    depth : int, default=11
        Layers of the network: ``depth - 1`` convolutions and a dense layer, at least 2.
    gap : bool, default=True
        Global average pooling before the dense layer, instead of flattening.
    alpha : float, default=1e-5
        Ridge, relative to the mean of the Gram matrix's diagonal: it means the same at every
        depth.  The paper uses none; 1e-5 covers the rounding of float32.
    train_size : int, float or None, default=None
        Number (int) or fraction (float) of the training rows to use, drawn at random:
        training-set size as a hyperparameter.  None uses all.
    training_time : float or None, default=None
        Time of training by gradient flow, for early stopping (eqs. 3 to 5 of [1]_), in units of
        1 / mean of the Gram matrix's diagonal: it means the same at every depth, and acts much
        like an `alpha` of 1 / `training_time`.  None trains to the end.
    lap : int, default=0
        Radius of local average pooling, which excludes ``gap=True``; see :class:`CNTK`.
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that gradient descent trains, see :class:`CNTK`; "last" is regression with the
        NNGP kernel.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    flip : bool, default=False
        Train on the images and their mirror images, see :class:`CNTK`.
    normalize : bool, default=False
        Divide the kernel by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernel; a GPU with room for its matrix solves the system as well.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernel's recursion; feature vectors and the linear system are float64
        either way.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernel, as in joblib; -1 uses all cores.
    memory : str, path-like, KernelStore or None, default=None
        Folder that keeps computed kernel entries, see :class:`KernelStore`.
    solver : {"auto", "cholesky", "cg", "nystroem"}, default="auto"
        "cholesky" factors the Gram matrix in memory; "cg" iterates with it, in memory or in
        `gram_store`; "nystroem" uses `n_components` landmarks, at a cost linear in the number of
        training images.  "auto" is "cholesky" where the matrix fits, else "cg" with `gram_store`.
    n_components : int or None, default=None
        Number of landmarks of "nystroem".
    landmarks : {"uniform", "pivoted"}, default="uniform"
        How "nystroem" draws them: "pivoted" prefers images that those drawn before represent
        badly (randomly pivoted Cholesky), and holds 8 bytes × images × `n_components`.
    gram_store : str, path-like, zarr store or None, default=None
        Where :func:`gram_to_zarr` keeps the Gram matrix of a training set, for "cholesky" and
        "cg": an interrupted fit goes on there.  It holds one kernel and one training set; for
        searches see `memory`.  In float64, unless :func:`gram_to_zarr` made it in float32 before.
    tol : float, default=1e-6
        Relative residual at which "cg" stops.
    max_iter : int, default=1000
        Largest number of its iterations.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of `train_size`, the landmarks of "nystroem" and the pivots of "cg".
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_targets)
        Weights of the training images in predictions.
    X_fit_ : ndarray (n_rows, height, width, channels)
        Training images that were used, or the landmarks.
    n_iter_ : int
        Iterations of "cg"; 1 with other solvers.
    kernel_ : CNTK
        The kernel that predictions use.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    CNTKClassifier : Classification.
    CNTK : The kernel alone, for scikit-learn's other kernel methods.

    Notes
    -----
    The network has no bias, and the regression no intercept: targets whose mean is much larger
    than their spread are predicted badly.  Centre them:
    ``TransformedTargetRegressor(CNTKRegressor(), transformer=StandardScaler())`` of scikit-learn.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

    Examples
    --------
    How much ink a digit has, from its picture:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKRegressor
    >>> images = load_digits().images
    >>> model = CNTKRegressor(depth=3).fit(images[:100], images[:100].sum(axis=(1, 2)))
    >>> bool(model.score(images[100:150], images[100:150].sum(axis=(1, 2))) > 0.9)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Compute the Gram matrix of the training images and solve for the dual coefficients.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
            Images, or rows (see `image_shape`): finite real numbers of any dtype.
        y : array-like (n,) or (n, n_targets)
        sample_weight : array-like (n,) or float, default=None
            A weight of 2 equals giving a row twice.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name.
        LinAlgError
            The matrix is not positive definite: `alpha` is too small.

        Warns
        -----
        LinAlgWarning
            The matrix is nearly singular, likewise.
        """
        return self._fit(X, y, sample_weight)


class CNTKClassifier(StagedClassification, ClassificationTask, _CNTKEstimator):
    """Classification by an infinitely wide, fully trained convolutional network.

    Kernel ridge regression with :class:`CNTK` onto one-hot labels minus 1/k for k classes, as
    in section 5 of [1]_; the class with the largest prediction wins.

    Parameters
    ----------
    depth : int, default=11
        Layers of the network: ``depth - 1`` convolutions and a dense layer, at least 2.
    gap : bool, default=True
        Global average pooling before the dense layer, instead of flattening.
    alpha : float, default=1e-5
        Ridge, relative to the mean of the Gram matrix's diagonal: it means the same at every
        depth.  The paper uses none; 1e-5 covers the rounding of float32.
    train_size : int, float or None, default=None
        Number (int) or fraction (float) of the training rows to use, drawn at random,
        with the shares of the classes kept:
        training-set size as a hyperparameter.  None uses all.
    training_time : float or None, default=None
        Time of training by gradient flow, for early stopping (eqs. 3 to 5 of [1]_), in units of
        1 / mean of the Gram matrix's diagonal: it means the same at every depth, and acts much
        like an `alpha` of 1 / `training_time`.  None trains to the end.
    lap : int, default=0
        Radius of local average pooling, which excludes ``gap=True``; see :class:`CNTK`.
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that gradient descent trains, see :class:`CNTK`; "last" is regression with the
        NNGP kernel.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    flip : bool, default=False
        Train on the images and their mirror images, see :class:`CNTK`.
    normalize : bool, default=False
        Divide the kernel by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernel; a GPU with room for its matrix solves the system as well.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernel's recursion; feature vectors and the linear system are float64
        either way.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernel, as in joblib; -1 uses all cores.
    memory : str, path-like, KernelStore or None, default=None
        Folder that keeps computed kernel entries, see :class:`KernelStore`.
    solver : {"auto", "cholesky", "cg", "nystroem"}, default="auto"
        "cholesky" factors the Gram matrix in memory; "cg" iterates with it, in memory or in
        `gram_store`; "nystroem" uses `n_components` landmarks, at a cost linear in the number of
        training images.  "auto" is "cholesky" where the matrix fits, else "cg" with `gram_store`.
    n_components : int or None, default=None
        Number of landmarks of "nystroem".
    landmarks : {"uniform", "pivoted"}, default="uniform"
        How "nystroem" draws them: "pivoted" prefers images that those drawn before represent
        badly (randomly pivoted Cholesky), and holds 8 bytes × images × `n_components`.
    gram_store : str, path-like, zarr store or None, default=None
        Where :func:`gram_to_zarr` keeps the Gram matrix of a training set, for "cholesky" and
        "cg": an interrupted fit goes on there.  It holds one kernel and one training set; for
        searches see `memory`.  In float64, unless :func:`gram_to_zarr` made it in float32 before.
    tol : float, default=1e-6
        Relative residual at which "cg" stops.
    max_iter : int, default=1000
        Largest number of its iterations.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of `train_size`, the landmarks of "nystroem" and the pivots of "cg".
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_classes)
        Weights of the training images in :meth:`decision_function`.
    X_fit_ : ndarray (n_rows, height, width, channels)
        Training images that were used, or the landmarks.
    n_iter_ : int
        Iterations of "cg"; 1 with other solvers.
    kernel_ : CNTK
        The kernel that predictions use.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    CNTKRegressor : Regression.
    CNTK : The kernel alone, for scikit-learn's other kernel methods.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifier
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = CNTKClassifier(depth=3).fit(images[:200], labels[:200])
    >>> bool(model.score(images[200:300], labels[200:300]) > 0.9)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Compute the Gram matrix of the training images and solve for the dual coefficients.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
            Images, or rows (see `image_shape`): finite real numbers of any dtype.
        y : array-like (n,)
            Class labels, at least two different ones.
        sample_weight : array-like (n,) or float, default=None
            A weight of 2 equals giving a row twice.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name.
        LinAlgError
            The matrix is not positive definite: `alpha` is too small.

        Warns
        -----
        LinAlgWarning
            The matrix is nearly singular, likewise.
        """
        return self._fit(X, y, sample_weight)
