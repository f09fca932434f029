"""The paper's finite networks as scikit-learn estimators."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._models.base import ImageEstimator
from .._models.tasks import ClassificationTask, RegressionTask
from .._support.checks import check_integer
from .._support.progress import bar_class
from ._network import ConvolutionalNetwork, select_device, select_dtype, to_tensor
from ._training import initial_scale, largest_stable_rate, predict, train

if TYPE_CHECKING:
    from typing import Literal, Self

    from .._support.typing import ArrayLike, Dtype, ImageShape, RandomState, TrainedLayers

# Learning rates that lr="auto" tries, each a quarter of the one before.
_ATTEMPTS = 5


def _check_number(name, value, low, high, remedy):
    """Return `value` as a float, or say what `name` must be."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not low <= value < high:
        raise ValueError(f"{name}={value} cannot be used: {remedy}.")
    return float(value)


class _CNNEstimator(ImageEstimator):
    """What regression and classification share: the network and its training."""

    if TYPE_CHECKING:
        network_: ConvolutionalNetwork
        loss_curve_: list[float]
        n_iter_: int
        converged_: bool
        kappa_: float
        lr_: float

    def __init__(
        self,
        depth: int = 11,
        gap: bool = True,
        *,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        width: int = 128,
        kappa: float = 0.1,
        lr: float | Literal["auto"] = "auto",
        momentum: float = 0.0,
        batch_size: int = 128,
        max_epochs: int = 200,
        tol: float | Literal["auto"] = "auto",
        random_state: RandomState = None,
        device: str = "auto",
        dtype: Dtype = "float32",
        verbose: int | bool = 0,
    ) -> None:
        self.depth = depth
        self.gap = gap
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.width = width
        self.kappa = kappa
        self.lr = lr
        self.momentum = momentum
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    def _fit(self, X, y):
        images = self._check_images(X, reset=True)
        targets, classes = self._encode(images, y)
        check = self._checked()
        seeds = check_random_state(self.random_state).randint(2**31, size=2)
        device, dtype = select_device(self.device), select_dtype(self.dtype)
        columns = targets.reshape(len(targets), -1)

        def new_network():
            network = ConvolutionalNetwork(
                images.shape[1:],
                self.depth,
                self.gap,
                trained_layers=self.trained_layers,
                filter_size=self.filter_size,
                width=self.width,
                n_outputs=columns.shape[1],
                seed=int(seeds[0]),
                dtype=dtype,
            )
            return network.to(device)

        network = new_network()
        X = to_tensor(images, dtype, device)
        y = torch.tensor(columns, dtype=dtype, device=device)
        size, scale = np.sqrt(np.mean(columns**2)), initial_scale(network, X)
        self.kappa_ = check["kappa"] * (float(size / scale) if size > 0 and scale > 0 else 1.0)
        done = self._stop(y, classes, check["tol"])
        for rate in self._rates(check["lr"], network, X):
            self.lr_ = rate
            try:
                self.loss_curve_ = self._train(network, X, y, check, int(seeds[1]), done)
                break
            except OverflowError:
                network = new_network()
        else:
            stable = largest_stable_rate(network, X, self.kappa_)
            raise ValueError(
                f"Training diverges with lr={self.lr_:.3g}: the largest stable learning rate for "
                f"these images is about {stable:.3g} at the start, 2 / λ_max of the empirical "
                "kernel. Use a smaller lr, a larger width or kappa, or lr='auto'."
            )
        self.network_ = network
        self.n_iter_ = len(self.loss_curve_)
        self.converged_ = done(predict(network, X, self.kappa_), self.loss_curve_[-1])
        self._one_column = targets.ndim == 1
        if not self.converged_:
            warnings.warn(
                f"Training stopped at max_epochs={self.max_epochs}, before {self._aim(check)}: "
                "raise max_epochs, lr or momentum.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _rates(self, rate, network, images):
        """Yield the learning rates to try, one after the other, until training does not diverge."""
        if rate != "auto":
            yield rate
            return
        rate = largest_stable_rate(network, images, self.kappa_) / 2
        # Every image is 0: there is nothing to learn, at any rate.
        rate = rate if np.isfinite(rate) else 0.0
        # The kernel of a narrow network grows while it trains, and with it what is stable.
        yield from (rate / 4**attempt for attempt in range(_ATTEMPTS))

    def _train(self, network, X, y, check, seed, done):
        with _progress(self) as bar:
            return train(
                network,
                X,
                y,
                kappa=self.kappa_,
                rate=self.lr_,
                momentum=check["momentum"],
                batch_size=min(check["batch_size"], len(X)),
                max_epochs=check["max_epochs"],
                generator=torch.Generator().manual_seed(seed),
                done=done,
                bar=bar,
            )

    def _checked(self):
        """Parameters of training, all of them checked before any of it starts."""
        lr = self.lr
        if not (isinstance(lr, str) and lr == "auto"):
            lr = _check_number("lr", lr, 0, np.inf, "use a finite number above 0, or 'auto'")
            if lr == 0:
                raise ValueError("lr=0 trains nothing: use a number above 0, or 'auto'.")
        tol = self.tol
        if not (isinstance(tol, str) and tol == "auto"):
            tol = _check_number("tol", tol, 0, np.inf, "use a share of the loss, 0 or more")
        kappa = _check_number("kappa", self.kappa, 0, np.inf, "use a finite number above 0")
        if kappa == 0:
            raise ValueError("kappa=0 makes every output 0: use a number above 0 such as 0.1.")
        return {
            "lr": lr,
            "tol": tol,
            "kappa": kappa,
            "momentum": _check_number(
                "momentum", self.momentum, 0, 1, "use a number from 0 to below 1"
            ),
            "batch_size": check_integer("batch_size", self.batch_size, 1, "use 1 or more images"),
            "max_epochs": check_integer("max_epochs", self.max_epochs, 1, "use 1 or more epochs"),
        }

    def _predict_targets(self, X):
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        weights = self.network_.readout
        tensor = to_tensor(images, weights.dtype, weights.device)
        outputs = predict(self.network_, tensor, self.kappa_, dtype=torch.float64).cpu().numpy()
        return outputs[:, 0] if self._one_column else outputs


@contextmanager
def _progress(estimator):
    """Yield a function that an epoch's loss is shown by, if the estimator is verbose."""
    if not estimator.verbose:
        yield lambda loss: None
        return
    with bar_class()(
        total=estimator.max_epochs, desc=type(estimator).__name__, unit="epoch"
    ) as bar:

        def show(loss):
            bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
            bar.update()

        yield show


def _below(tol, targets):
    """Whether a loss is at most `tol` times that of predicting 0."""
    limit = tol * float(targets.square().sum()) / (2 * len(targets))
    return lambda outputs, loss: loss <= limit


class CNNRegressor(RegressionTask, _CNNEstimator):
    """Regression by a convolutional ReLU network of finite width.

    The network whose limit of infinite width is :class:`~sklearn_cntk.CNTKRegressor` with the
    same `depth`, `gap`, `trained_layers` and `filter_size`: NTK parametrisation, weights N(0, 1),
    squared loss, stochastic gradient descent ([1]_, sections 4 and 5).

    Parameters
    ----------
    depth : int, default=11
        Layers of the network: ``depth - 1`` convolutions and a dense layer, at least 2.
    gap : bool, default=True
        Global average pooling before the dense layer (CNN-GAP), instead of flattening (CNN-V).
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that are trained; the others keep their random weights.
    filter_size : int, default=3
        Side of the square filters, odd.  Stride 1, zero padding.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    width : int, default=128
        Channels of each convolution.
    kappa : float, default=0.1
        Root mean square of the random initial function, relative to that of the targets: the
        output is multiplied by κ (Theorem 3.2 of [1]_), and this says to what size, so that it
        means the same at every depth.  The smaller, the less is left of the initial function in
        predictions, and the further the weights have to move.
    lr : float or "auto", default="auto"
        Learning rate for the loss, the mean over a batch of ½ ‖κ f(x) − y‖².  "auto" is
        1 / λ_max of the empirical kernel at the start, half the largest stable one (kernels differ
        by orders of magnitude between depths, and so do the rates that suit them); should
        training diverge, it starts again with a quarter of that, up to four times.
    momentum : float, default=0
        Of stochastic gradient descent; the paper uses none.
    batch_size : int, default=128
        Images a step.  As many as there are, or more, gives gradient descent.
    max_epochs : int, default=200
        Passes over the images at most.
    tol : float or "auto", default="auto"
        Stop when the training loss is at most `tol` times the loss of predicting 0.  "auto" is
        1e-4.
    random_state : int, RandomState instance or None, default=None
        Draws the weights and the order of the images.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to train.
    dtype : {"float32", "float64"}, default="float32"
        Precision.
    verbose : int, default=0
        1 shows progress: epochs and the loss.

    Attributes
    ----------
    network_ : ConvolutionalNetwork
        The trained network; predictions are `kappa_` times its output.
    loss_curve_ : list of float
        Training loss after each epoch.
    n_iter_ : int
        Epochs that were run.
    converged_ : bool
        Whether training stopped because of `tol`.
    kappa_ : float
        The factor κ of the output.
    lr_ : float
        The learning rate that was used.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    sklearn_cntk.CNTKRegressor : Infinite width.

    Notes
    -----
    The network has no bias, and the regression no intercept: targets whose mean is much larger
    than their spread are predicted badly.  Centre them:
    ``TransformedTargetRegressor(CNNRegressor(), transformer=StandardScaler())`` of scikit-learn.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk.finite import CNNRegressor
    >>> images = load_digits().images[:150] / 16
    >>> ink = images.mean(axis=(1, 2))
    >>> model = CNNRegressor(3, False, width=32, batch_size=16, tol=1e-3, random_state=0)
    >>> bool(model.fit(images[:100], ink[:100]).score(images[100:], ink[100:]) > 0.8)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Draw the network and train it.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
            Images, or rows (see `image_shape`): finite real numbers of any dtype.
        y : array-like (n,) or (n, n_targets)

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name; training that diverges, with the
            largest stable `lr`.

        Warns
        -----
        ConvergenceWarning
            `max_epochs` came before `tol`.
        """
        return self._fit(X, y)

    def _stop(self, targets, classes, tol):
        return _below(1e-4 if tol == "auto" else tol, targets)

    def _aim(self, check):
        return f"the loss was {1e-4 if check['tol'] == 'auto' else check['tol']} of that of 0"


class CNNClassifier(ClassificationTask, _CNNEstimator):
    """Classification by a convolutional ReLU network of finite width.

    The network whose limit of infinite width is :class:`~sklearn_cntk.CNTKClassifier` with the
    same `depth`, `gap`, `trained_layers` and `filter_size`: NTK parametrisation, weights N(0, 1),
    squared loss on one-hot labels minus 1/k for k classes, stochastic gradient descent ([1]_,
    sections 4 and 5).

    Parameters
    ----------
    depth : int, default=11
        Layers of the network: ``depth - 1`` convolutions and a dense layer, at least 2.
    gap : bool, default=True
        Global average pooling before the dense layer (CNN-GAP), instead of flattening (CNN-V).
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that are trained; the others keep their random weights.
    filter_size : int, default=3
        Side of the square filters, odd.  Stride 1, zero padding.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    width : int, default=128
        Channels of each convolution.
    kappa : float, default=0.1
        Root mean square of the random initial function, relative to that of the targets: the
        output is multiplied by κ (Theorem 3.2 of [1]_), and this says to what size, so that it
        means the same at every depth.  The smaller, the less is left of the initial function in
        predictions, and the further the weights have to move.
    lr : float or "auto", default="auto"
        Learning rate for the loss, the mean over a batch of ½ ‖κ f(x) − y‖².  "auto" is
        1 / λ_max of the empirical kernel at the start, half the largest stable one (kernels differ
        by orders of magnitude between depths, and so do the rates that suit them); should
        training diverge, it starts again with a quarter of that, up to four times.
    momentum : float, default=0
        Of stochastic gradient descent; the paper uses none.
    batch_size : int, default=128
        Images a step.  As many as there are, or more, gives gradient descent.
    max_epochs : int, default=200
        Passes over the images at most.
    tol : float or "auto", default="auto"
        Stop when the training loss is at most `tol` times the loss of predicting 0.  "auto" is
        full training accuracy.
    random_state : int, RandomState instance or None, default=None
        Draws the weights and the order of the images.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to train.
    dtype : {"float32", "float64"}, default="float32"
        Precision.
    verbose : int, default=0
        1 shows progress: epochs and the loss.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    network_ : ConvolutionalNetwork
        The trained network; predictions are `kappa_` times its output.
    loss_curve_ : list of float
        Training loss after each epoch.
    n_iter_ : int
        Epochs that were run.
    converged_ : bool
        Whether training stopped because of `tol`.
    kappa_ : float
        The factor κ of the output.
    lr_ : float
        The learning rate that was used.
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    See Also
    --------
    sklearn_cntk.CNTKClassifier : Infinite width.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk.finite import CNNClassifier
    >>> images, labels = load_digits().images / 16, load_digits().target
    >>> model = CNNClassifier(depth=3, gap=False, width=32, batch_size=16, random_state=0)
    >>> bool(model.fit(images[:200], labels[:200]).score(images[200:300], labels[200:300]) > 0.8)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Draw the network and train it.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
            Images, or rows (see `image_shape`): finite real numbers of any dtype.
        y : array-like (n,)
            Class labels, at least two different ones.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name; training that diverges, with the
            largest stable `lr`.

        Warns
        -----
        ConvergenceWarning
            `max_epochs` came before `tol`.
        """
        return self._fit(X, y)

    def _stop(self, targets, classes, tol):
        if tol != "auto":
            return _below(tol, targets)
        classes = torch.from_numpy(classes).to(targets.device)

        def full_accuracy(outputs, loss):
            best = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(dim=1)
            return bool((best == classes).all())

        return full_accuracy

    def _aim(self, check):
        if check["tol"] != "auto":
            return f"the loss was {check['tol']} of that of 0"
        return "full training accuracy"
