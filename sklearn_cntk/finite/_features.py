"""Random features whose inner products are the Monte-Carlo CNTK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._models.base import ImageEstimator
from .._support.checks import check_integer
from .._support.ram import check_memory
from ._gradients import explicit_gradients, number_of_weights
from ._kernel import _BUDGET, draw_seeds
from ._network import (
    ConvolutionalNetwork,
    check_seed,
    restore_scale,
    select_device,
    select_dtype,
    split_scale,
)

if TYPE_CHECKING:
    from typing import Any, Self

    from .._support.typing import Array, ArrayLike, Dtype, ImageShape, RandomState, TrainedLayers


class RandomCNTKFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ImageEstimator):
    """Gradients of finite networks at random weights, as features for linear models.

    The inner products of the features are :class:`EmpiricalCNTK` with the same parameters.
    ``trained_layers="last"`` gives the last hidden layer's activations, the random features of
    the paper's section 5 [1]_; "all" and "hidden" the gradients by all trained weights, which
    are many: about ``(depth - 2) * (width * filter_size) ** 2`` a network.

    Parameters
    ----------
    depth : int, default=11
        Layers of the networks: ``depth - 1`` convolutions and a dense layer.
    gap : bool, default=True
        Global average pooling before the dense layer, instead of flattening.
    trained_layers : {"all", "hidden", "last"}, default="last"
        Layers whose weights the gradient is taken by.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    width : int, default=128
        Channels of each convolution.
    n_draws : int, default=1
        Random networks, whose features are concatenated.
    random_state : int, RandomState instance or None, default=None
        Draws the weights, in :meth:`fit`.  Integers from 0 to 2**32 - 1.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the networks and of the features.

    Attributes
    ----------
    networks_ : list of ConvolutionalNetwork
    image_shape_ : tuple (height, width, channels)
    n_features_in_ : int
        height × width × channels.
    feature_names_in_ : ndarray of str
        Only if `X` has string column names.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

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

    def __init__(
        self,
        depth: int = 11,
        gap: bool = True,
        *,
        trained_layers: TrainedLayers = "last",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        width: int = 128,
        n_draws: int = 1,
        random_state: RandomState = None,
        device: str = "auto",
        dtype: Dtype = "float32",
    ) -> None:
        self.depth = depth
        self.gap = gap
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.width = width
        self.n_draws = n_draws
        self.random_state = random_state
        self.device = device
        self.dtype = dtype

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Draw the networks; of `X` only the shape of its images matters.

        Parameters
        ----------
        X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name.
        MemoryError
            The networks do not fit.
        """
        images = self._check_images(X, reset=True)
        draws = check_integer("n_draws", self.n_draws, 1, "use 1 or more networks")
        device, dtype = select_device(self.device), select_dtype(self.dtype)
        seed = self.random_state
        if seed is None or isinstance(seed, np.random.RandomState):
            seed = int(check_random_state(seed).randint(2**31))
        else:
            try:
                seed = check_seed("random_state", seed, bits=32)
            except TypeError as error:
                raise TypeError(f"{error} A RandomState instance or None works too.") from None

        def network(draw):
            return ConvolutionalNetwork(
                images.shape[1:],
                self.depth,
                self.gap,
                trained_layers=self.trained_layers,
                filter_size=self.filter_size,
                width=self.width,
                seed=draw,
                dtype=dtype,
            ).to(device)

        networks = [network(draw) for draw in draw_seeds(seed, 1)]
        if device.type == "cpu":  # elsewhere PyTorch says what does not fit
            weights = sum(weights.nbytes for weights in networks[0].parameters())
            check_memory(
                (draws - 1) * weights,
                f"n_draws={draws} with width={self.width}",
                "use a smaller n_draws or width",
            )
        networks += [network(draw) for draw in draw_seeds(seed, draws)[1:]]
        self.networks_ = networks
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Features of images.

        Parameters
        ----------
        X : array-like, m images of the shape seen by :meth:`fit`

        Returns
        -------
        ndarray of `dtype`, shape (m, n_features_out)

        Raises
        ------
        MemoryError
            The features do not fit; nothing is computed then.
        ValueError
            Images so large that their features exceed `dtype`.
        """
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        check_memory(
            self.networks_[0].readout.element_size() * len(images) * self._n_features_out,
            f"{self._n_features_out} features of {len(images)} images",
            "use a smaller width or fewer images, or EmpiricalCNTK, which needs no features",
        )
        images, exponents = split_scale(images, self.networks_[0].readout.dtype)
        features = np.hstack(
            [
                explicit_gradients(network, images, _BUDGET).cpu().numpy()
                for network in self.networks_
            ]
        )
        features /= np.sqrt(len(self.networks_))
        remedy = "divide the images by a number" + ", or use dtype='float64'" * (
            features.dtype == np.float32
        )
        return restore_scale(features, exponents[:, None], "Features", remedy)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # it is what `dtype` says
        return tags

    @property
    def _n_features_out(self):
        return sum(map(number_of_weights, self.networks_))
