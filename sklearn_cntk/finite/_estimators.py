"""The paper's finite networks as scikit-learn estimators."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._models.base import ImageEstimator
from .._models.network_params import SettableNetwork
from .._models.tasks import ClassificationTask, RegressionTask
from .._support.checks import check_integer, check_number
from .._support.docstrings import fill_docs
from .._support.progress import bar_class, is_shown
from ._network import network_of, to_tensor
from ._parameters import (
    TrainedClassifierParameters,
    TrainedNetworkParameters,
    TrainedRegressorParameters,
)
from ._settings import default_settings
from ._training import initial_scale, largest_stable_rate, predict, train

if TYPE_CHECKING:
    from typing import Self

    from .._support.typing import ArrayLike
    from ._network import ConvolutionalNetwork

# Number of learning rates that lr="auto" tries, each a quarter of the one before.
_ATTEMPTS = 5


@fill_docs
class _CNNEstimator(TrainedNetworkParameters, SettableNetwork, ImageEstimator):
    """The network and its training, shared by regression and classification."""

    if TYPE_CHECKING:
        network_: ConvolutionalNetwork
        loss_curve_: list[float]
        n_iter_: int
        converged_: bool
        kappa_: float
        lr_: float

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Draw the network and train it.

        Parameters
        ----------
        {X}
        {y}

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are invalid (the message names which), or if training
            diverges (the message gives the largest stable `lr`).

        Warns
        -----
        ConvergenceWarning
            If `max_epochs` is reached before `tol`.
        """
        return self._fit(X, y)

    @default_settings()
    def _fit(self, X, y):
        images = self._check_images(X, reset=True)
        targets, classes = self._encode(images, y)
        check = self._checked()
        seeds = check_random_state(self.random_state).randint(2**31, size=2)
        columns = targets.reshape(len(targets), -1)

        def new_network():
            return network_of(self, images.shape[1:], int(seeds[0]), n_outputs=columns.shape[1])

        network = new_network()
        weights = network.readout
        X = to_tensor(images, weights.dtype, weights.device)
        y = torch.tensor(columns, dtype=weights.dtype, device=weights.device)
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
                "increase max_epochs, lr or momentum.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _rates(self, rate, network, images):
        """Yield the learning rates to try in turn until training does not diverge."""
        if rate != "auto":
            yield rate
            return
        rate = largest_stable_rate(network, images, self.kappa_) / 2
        # If every image is 0, there is nothing to learn at any rate.
        rate = rate if np.isfinite(rate) else 0.0
        # The kernel of a narrow network grows during training, so the largest stable rate shrinks.
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
        """Return the training parameters, all checked before training starts."""
        lr = self.lr
        if not (isinstance(lr, str) and lr == "auto"):
            lr = check_number("lr", lr, 0, np.inf, "use a finite number above 0, or 'auto'")
            if lr == 0:
                raise ValueError("lr=0 trains nothing: use a number above 0, or 'auto'.")
        tol = self.tol
        if not (isinstance(tol, str) and tol == "auto"):
            tol = check_number("tol", tol, 0, np.inf, "use a fraction of the loss, 0 or more")
        kappa = check_number("kappa", self.kappa, 0, np.inf, "use a finite number above 0")
        if kappa == 0:
            raise ValueError("kappa=0 makes every output 0: use a number above 0 such as 0.1.")
        return {
            "lr": lr,
            "tol": tol,
            "kappa": kappa,
            "momentum": check_number(
                "momentum", self.momentum, 0, 1, "use a number from 0 to below 1"
            ),
            "batch_size": check_integer("batch_size", self.batch_size, 1, "use 1 or more images"),
            "max_epochs": check_integer("max_epochs", self.max_epochs, 1, "use 1 or more epochs"),
        }

    @default_settings()
    def _predict_targets(self, X):
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        weights = self.network_.readout
        tensor = to_tensor(images, weights.dtype, weights.device)
        outputs = predict(self.network_, tensor, self.kappa_, dtype=torch.float64).cpu().numpy()
        return outputs[:, 0] if self._one_column else outputs


@contextmanager
def _progress(estimator):
    """Yield a function that shows the loss of an epoch if the estimator is verbose."""
    if not is_shown(estimator.verbose):
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
    """Return a test of whether a loss is at most `tol` times that of predicting 0."""
    limit = tol * float(targets.square().sum()) / (2 * len(targets))
    return lambda outputs, loss: loss <= limit


@fill_docs
class CNNRegressor(TrainedRegressorParameters, RegressionTask, _CNNEstimator):
    """Regression with a convolutional network of finite width.

    The network whose infinite-width limit is :class:`~sklearn_cntk.CNTKRegressor` with the same
    parameters: NTK parametrisation, weights drawn from N(0, 1), squared loss, stochastic gradient
    descent ([1]_, sections 4 and 5).

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {network_}
    {loss_curve_}
    {n_iter_of_descent}
    {converged_}
    {kappa_}
    {lr_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    sklearn_cntk.CNTKRegressor : The limit of infinite width.

    Notes
    -----
    Without `bias_variance` the network has no bias, so it predicts targets badly whose mean is much
    larger than their spread.  Centre such targets with scikit-learn's
    ``TransformedTargetRegressor(CNNRegressor(), transformer=StandardScaler())``.

    References
    ----------
    {arora}

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

    def _stop(self, targets, classes, tol):
        return _below(1e-4 if tol == "auto" else tol, targets)

    def _aim(self, check):
        return (
            f"the loss was {1e-4 if check['tol'] == 'auto' else check['tol']} times that of "
            "predicting 0"
        )


@fill_docs
class CNNClassifier(TrainedClassifierParameters, ClassificationTask, _CNNEstimator):
    """Classification with a convolutional network of finite width.

    The network whose infinite-width limit is :class:`~sklearn_cntk.CNTKClassifier` with the same
    parameters: NTK parametrisation, weights drawn from N(0, 1), squared loss on one-hot labels
    minus 1/k for k classes, stochastic gradient descent ([1]_, sections 4 and 5).

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {classes_}
    {network_}
    {loss_curve_}
    {n_iter_of_descent}
    {converged_}
    {kappa_}
    {lr_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    sklearn_cntk.CNTKClassifier : The limit of infinite width.

    References
    ----------
    {arora}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk.finite import CNNClassifier
    >>> images, labels = load_digits().images / 16, load_digits().target
    >>> model = CNNClassifier(depth=3, gap=False, width=32, batch_size=16, random_state=0)
    >>> bool(model.fit(images[:200], labels[:200]).score(images[200:300], labels[200:300]) > 0.8)
    True
    """

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
            return f"the loss was {check['tol']} times that of predicting 0"
        return "full training accuracy"
