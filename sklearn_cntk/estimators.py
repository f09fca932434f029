"""Kernel regression with the CNTK as scikit-learn estimators."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from ._gram import progress_bar
from ._images import as_images
from ._solvers import ridge_dual
from ._training_rows import choose_rows
from .kernels import CNTK

# Float64 kernel values that a prediction holds at a time: 64 MB.
_PREDICTED_VALUES = 2**23


class _CNTKEstimator(BaseEstimator):
    """What regression and classification share: images, rows, kernel and dual coefficients."""

    def __init__(
        self,
        depth=11,
        gap=True,
        *,
        alpha=1e-5,
        train_size=None,
        trained_layers="all",
        filter_size=3,
        image_shape=None,
        normalize=False,
        device="auto",
        dtype="float32",
        n_jobs=-1,
        random_state=None,
        verbose=0,
    ):
        self.depth = depth
        self.gap = gap
        self.alpha = alpha
        self.train_size = train_size
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.normalize = normalize
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _kernel(self):
        """The kernel with this estimator's parameters."""
        return CNTK(**{name: getattr(self, name) for name in CNTK().get_params()})

    def _check_images(self, X, *, reset):
        """Images of X; its features are recorded, or compared with those of fit."""
        shape = self.image_shape if reset else self.image_shape_
        n_dimensions = getattr(X, "ndim", 2)
        if not reset and n_dimensions == 2:  # scikit-learn's message where only the width differs
            validate_data(self, X, reset=False, skip_check_array=True)
        images = as_images(X, shape, estimator=self)
        if reset:
            rows = X if n_dimensions == 2 else images.reshape(len(images), -1)
            validate_data(self, rows, skip_check_array=True)
            self.image_shape_ = images.shape[1:]
        return images

    def _fit_dual(self, images, targets, sample_weight, rows=None):
        """Fit dual coefficients to float64 `targets` on the chosen `rows`."""
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, Real):
            raise TypeError(f"alpha must be a number, got {self.alpha!r}.")
        if not 0 <= self.alpha < np.inf:
            raise ValueError(f"alpha={self.alpha} is no ridge: use a finite number of 0 or more.")
        if rows is not None:
            targets = targets[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        # A copy, so that predictions do not change with the caller's array.
        self.X_fit_ = images.copy() if rows is None else images[rows]
        kernel = self._kernel()
        K = kernel._values(self.X_fit_)
        self.dual_coef_ = ridge_dual(K, targets, self.alpha, sample_weight)
        self._fit_diagonal = kernel._diagonal(self.X_fit_) if self.normalize else None
        return self

    def _predict_targets(self, X):
        """Predicted targets; by blocks of rows, so memory does not grow with their number."""
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        kernel = self._kernel()
        n_fit = len(self.X_fit_)
        predicted = np.empty((len(images), *self.dual_coef_.shape[1:]))
        block = max(1, _PREDICTED_VALUES // n_fit)
        with progress_bar(len(images) * n_fit, self.verbose) as advance:
            for start in range(0, len(images), block):
                rows = slice(start, start + block)
                K = kernel._values(
                    images[rows], self.X_fit_, y_diagonal=self._fit_diagonal, advance=advance
                )
                predicted[rows] = K @ self.dual_coef_
        return predicted


class CNTKRegressor(MultiOutputMixin, RegressorMixin, _CNTKEstimator):
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
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that gradient descent trains, see :class:`CNTK`; "last" is regression with the
        NNGP kernel.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    normalize : bool, default=False
        Divide the kernel by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernel.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernel's recursion; feature vectors and the linear system are float64
        either way.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernel, as in joblib; -1 uses all cores.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of `train_size`.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_targets)
        Weights of the training images in predictions.
    X_fit_ : ndarray (n_rows, height, width, channels)
        Training images that were used.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    CNTKClassifier : Classification.
    CNTK : The kernel alone, for scikit-learn's other kernel methods.

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

    def fit(self, X, y, sample_weight=None):
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
        """
        images = self._check_images(X, reset=True)
        if y is None:
            raise ValueError("CNTKRegressor requires y to be passed, but the target y is None.")
        y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y", estimator=self)
        if y.ndim > 2:
            raise ValueError(f"y has shape {y.shape}: use (n,) or (n, n_targets).")
        check_consistent_length(images, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, images, dtype=np.float64, ensure_non_negative=True
            )
        rows = choose_rows(self.train_size, len(images), self.random_state)
        return self._fit_dual(images, y, sample_weight, rows)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`

        Returns
        -------
        ndarray of float64, shape (m,) or (m, n_targets)
        """
        return self._predict_targets(X)


class CNTKClassifier(ClassifierMixin, _CNTKEstimator):
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
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that gradient descent trains, see :class:`CNTK`; "last" is regression with the
        NNGP kernel.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    normalize : bool, default=False
        Divide the kernel by ``sqrt(K(x, x) K(x', x'))``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute the kernel.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the kernel's recursion; feature vectors and the linear system are float64
        either way.
    n_jobs : int or None, default=-1
        Parallel tiles of the kernel, as in joblib; -1 uses all cores.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of `train_size`.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_classes)
        Weights of the training images in :meth:`decision_function`.
    X_fit_ : ndarray (n_rows, height, width, channels)
        Training images that were used.
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

    def fit(self, X, y, sample_weight=None):
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
        """
        images = self._check_images(X, reset=True)
        if y is None:
            raise ValueError("CNTKClassifier requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(images, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, images, dtype=np.float64, ensure_non_negative=True
            )
        self.classes_, indices = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_[0]!r}): a classifier needs two or more."
            )
        rows = choose_rows(self.train_size, len(images), self.random_state, indices)
        targets = np.eye(n_classes)[indices] - 1 / n_classes
        # With two classes the columns are negatives of each other.
        return self._fit_dual(
            images, targets[:, 1] if n_classes == 2 else targets, sample_weight, rows
        )

    def decision_function(self, X):
        """Predicted targets: one-hot labels minus 1/k, so 0 favours no class.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`

        Returns
        -------
        ndarray of float64, shape (m, n_classes), or (m,) for the second of two classes
        """
        return self._predict_targets(X)

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`

        Returns
        -------
        ndarray (m,) of elements of ``classes_``
        """
        decision = self.decision_function(X)
        best = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        return self.classes_[best]
