"""Architecture search from one pass: CNTKRegressorCV and CNTKClassifierCV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._models.parameters import RegressorSearchParameters
from ._models.posterior import Posterior
from ._models.probabilities import Probabilities
from ._models.search import KernelSearch
from ._models.search_score import SearchScore
from ._models.tasks import ClassificationTask, RegressionTask
from ._support.checks import check_flag
from ._support.docstrings import fill_docs
from .estimators import CNTKClassifier, CNTKRegressor


@fill_docs
class CNTKRegressorCV(
    RegressorSearchParameters, Posterior, SearchScore, RegressionTask, KernelSearch
):
    """:class:`CNTKRegressor` with the best depth, pooling and ridge, found in one pass.

    {one_pass}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {best_params_}
    {best_score_}
    {best_index_}
    best_estimator_ : CNTKRegressor
        Fitted to all rows.
    {cv_results_}
    {scorer_}
    {multimetric_}
    {n_splits_}
    {refit_time_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    CNTKRegressor : One architecture.
    cntk_path : The Gram matrices alone.

    References
    ----------
    {arora}
    {li}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cntk import CNTKRegressorCV
    >>> images = load_digits().images
    >>> ink = images.sum(axis=(1, 2))
    >>> search = CNTKRegressorCV(depths=(2, 3)).fit(images[:200], ink[:200])
    >>> sorted(search.best_params_)
    ['alpha', 'depth', 'gap', 'lap']
    >>> bool(search.score(images[200:250], ink[200:250]) > 0.9)
    True
    """

    _estimator = CNTKRegressor

    if TYPE_CHECKING:
        best_estimator_: CNTKRegressor

    @property
    def _fitted_model(self):
        return self.best_estimator_

    def _fits_intercept(self):
        return check_flag("fit_intercept", self.fit_intercept)


@fill_docs
class CNTKClassifierCV(Probabilities, SearchScore, ClassificationTask, KernelSearch):
    """:class:`CNTKClassifier` with the best depth, pooling and ridge, found in one pass.

    {one_pass}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {classes_}
    {best_params_}
    {best_score_}
    {best_index_}
    best_estimator_ : CNTKClassifier
        Fitted to all rows.
    {cv_results_}
    {scorer_}
    {multimetric_}
    {n_splits_}
    {refit_time_}
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    CNTKClassifier : One architecture.
    cntk_path : The Gram matrices alone.

    References
    ----------
    {arora}
    {li}

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

    @property
    def _temperature(self):
        return self.best_estimator_.temperature_
