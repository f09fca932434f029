"""Random features whose inner products are the Monte-Carlo CNTK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._models.base import ImageEstimator
from .._models.network_params import SettableNetwork
from .._support.checks import check_integer, check_seed
from .._support.docstrings import fill_docs
from .._support.ram import check_memory
from ._gradients import explicit_gradients, number_of_weights
from ._kernel import _BUDGET, draw_seeds
from ._network import degree_of, network_of, restore_scale, split_scale
from ._parameters import FeatureParameters
from ._settings import default_settings

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike


@fill_docs
class RandomCNTKFeatures(
    FeatureParameters,
    SettableNetwork,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ImageEstimator,
):
    """Gradients of finite networks at random weights, as features for linear models.

    The inner products of the features equal :class:`EmpiricalCNTK` with the same parameters.
    ``trained_layers="last"`` gives the activations of the last hidden layer, the random features of
    section 5 of the paper [1]_.  "all" and "hidden" give the gradients with respect to all trained
    weights: about ``(depth - 2) * (width * filter_size) ** 2`` features for a plain network.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    networks_ : list of ConvolutionalNetwork
    {image_shape_}
    {n_features_in_}
    {feature_names_in_}

    References
    ----------
    {arora}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import RidgeClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_cntk.finite import RandomCNTKFeatures
    >>> images, labels = load_digits().images / 16, load_digits().target
    >>> features = RandomCNTKFeatures(depth=3, gap=False, width=64, random_state=0)
    >>> model = make_pipeline(features, RidgeClassifier()).fit(images[:300], labels[:300])
    >>> bool(model.score(images[300:400], labels[300:400]) > 0.8)
    True
    """

    @default_settings()
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Draw the networks; only the shape of the images in `X` matters.

        Parameters
        ----------
        {X}
        {no_y}

        Returns
        -------
        self

        Raises
        ------
        {unusable}
        MemoryError
            If the networks do not fit in memory.
        """
        images = self._check_images(X, reset=True)
        draws = check_integer("n_draws", self.n_draws, 1, "use 1 or more networks")
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = int(check_random_state(seed).randint(2**31))
        else:
            try:
                seed = check_seed("random_state", seed, bits=32)
            except TypeError as error:
                raise TypeError(f"{error} A RandomState instance or None works too.") from None

        def network(draw):
            return network_of(self, images.shape[1:], draw)

        networks = [network(draw) for draw in draw_seeds(seed, 1)]
        if networks[0].readout.device.type == "cpu":  # elsewhere PyTorch raises its own error
            weights = sum(weights.nbytes for weights in networks[0].parameters())
            check_memory(
                (draws - 1) * weights,
                f"n_draws={draws} with width={self.width}",
                "use a smaller n_draws or width",
            )
        networks += [network(draw) for draw in draw_seeds(seed, draws)[1:]]
        self.networks_ = networks
        return self

    @default_settings()
    def transform(self, X: ArrayLike) -> Array:
        """Compute the features of images.

        Parameters
        ----------
        {X_seen}

        Returns
        -------
        ndarray of `dtype`, shape (m, n_features_out)

        Raises
        ------
        MemoryError
            If the features do not fit in memory; nothing is computed.
        ValueError
            If the images are so large that their features exceed `dtype`.
        """
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        check_memory(
            self.networks_[0].readout.element_size() * len(images) * self._n_features_out,
            f"{self._n_features_out} features of {len(images)} images",
            "use a smaller width or fewer images, or EmpiricalCNTK, which needs no features",
        )
        first = self.networks_[0]
        images, exponents = split_scale(images, first.readout.dtype, degree_of(first.network))
        features = np.hstack(
            [
                explicit_gradients(network, images, _BUDGET).cpu().numpy()
                for network in self.networks_
            ]
        )
        features /= np.sqrt(len(self.networks_))
        return restore_scale(features, exponents[:, None], "Features", features.dtype.name)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the parameter `dtype` sets it
        return tags

    @property
    def _n_features_out(self):
        return sum(map(number_of_weights, self.networks_))
