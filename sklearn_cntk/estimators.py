"""Kernel regression with the CNTK as scikit-learn estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._models.intercept import Intercept
from ._models.kernel_regression import KernelRegression
from ._models.parameters import KernelParameters, RegressorParameters
from ._models.planning import FitEstimate
from ._models.posterior import Posterior
from ._models.probabilities import Calibrated
from ._models.staged import StagedClassification, StagedRegression
from ._models.tasks import ClassificationTask, RegressionTask
from ._support.docstrings import fill_docs
from ._support.parameters import declared
from .kernels import CNTK


class _CNTKRegression(FitEstimate, KernelRegression):
    """Kernel regression with the CNTK."""

    if TYPE_CHECKING:
        kernel_: CNTK

    def _kernel(self):
        return CNTK(**{name: getattr(self, name) for name in declared(KernelParameters)})


@fill_docs
class CNTKRegressor(
    RegressorParameters, Intercept, Posterior, StagedRegression, RegressionTask, _CNTKRegression
):
    """Regression by an infinitely wide, fully trained convolutional network.

    Kernel ridge regression with :class:`CNTK`.  In the limit of infinite width, it predicts what a
    ReLU network predicts after gradient descent has trained it to the end on the squared loss
    ([1]_, Theorem 3.2), without the network's random initial function.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_targets)
        Weights of the training images in predictions.
    {intercept_}
    {X_fit_}
    {n_iter_}
    {kernel_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    CNTKClassifier : Classification.
    CNTK : The kernel alone, for scikit-learn's other kernel methods.

    References
    ----------
    {arora}
    {li}

    Examples
    --------
    Predict the amount of ink in a digit from its image:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKRegressor
    >>> images = load_digits().images
    >>> ink = images.sum(axis=(1, 2))
    >>> model = CNTKRegressor(depth=3).fit(images[:200], ink[:200])
    >>> bool(model.score(images[200:250], ink[200:250]) > 0.9)
    True
    """


@fill_docs
class CNTKClassifier(Calibrated, StagedClassification, ClassificationTask, _CNTKRegression):
    """Classification by an infinitely wide, fully trained convolutional network.

    Kernel ridge regression with :class:`CNTK` onto one-hot labels minus 1/k for k classes, as
    in section 5 of [1]_; the class with the largest prediction is the predicted one.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {classes_}
    dual_coef_ : ndarray of float64, shape (n_rows,) or (n_rows, n_classes)
        Weights of the training images in :meth:`decision_function`.
    {temperature_}
    {X_fit_}
    {n_iter_}
    {kernel_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    CNTKRegressor : Regression.
    CNTK : The kernel alone, for scikit-learn's other kernel methods.

    References
    ----------
    {arora}
    {li}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKClassifier
    >>> images, labels = load_digits().images, load_digits().target
    >>> model = CNTKClassifier(depth=3).fit(images[:200], labels[:200])
    >>> bool(model.score(images[200:300], labels[200:300]) > 0.9)
    True
    """
