"""The Monte-Carlo CNTK of finite random networks under scikit-learn's kernel contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch
from sklearn.gaussian_process.kernels import Kernel

from .._support.checks import check_integer
from .._support.images import as_images, check_same_shape
from .._support.progress import progress_bar
from ._gradients import (
    explicit_gradients,
    gradients,
    is_pixelwise,
    number_of_weights,
    rows_at_a_time,
)
from ._network import (
    ConvolutionalNetwork,
    check_seed,
    device_label,
    restore_scale,
    select_device,
    select_dtype,
    split_scale,
    to_tensor,
)

if TYPE_CHECKING:
    from .._support.typing import ArrayLike, Dtype, FloatArray, ImageShape, TrainedLayers

# Bytes of the gradients, and of the pixel-by-pixel products, that are held at a time.
_BUDGET = 2**28

# Bytes of all images' gradients up to which they are formed once and kept.
_HELD = 2**30

_EXCEEDED = "Kernel values", "divide the images by a number"


def draw_seeds(seed, n_draws):
    """Seeds of `n_draws` networks; the first ones do not depend on how many follow."""
    children = np.random.SeedSequence(seed).spawn(n_draws)
    return [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]


class EmpiricalCNTK(Kernel):
    """Neural tangent kernel of finite networks at random weights.

    The mean over `n_draws` networks of ``⟨∂f(θ, x)/∂θ, ∂f(θ, x')/∂θ⟩`` (eq. 2 of [1]_): what
    :class:`~sklearn_cntk.CNTK` is the limit of as `width` grows (Theorem 3.1), with an error of
    about ``1 / sqrt(width * n_draws)`` and a bias of about ``1 / width``.  With
    ``trained_layers="last"`` it is the random-feature kernel of section 5, whose limit is the
    NNGP kernel.  A kernel of scikit-learn's like :class:`~sklearn_cntk.CNTK`.

    Parameters
    ----------
    depth : int, default=11
        Layers of the networks: ``depth - 1`` convolutions and a dense layer.
    gap : bool, default=True
        Global average pooling before the dense layer, instead of flattening.
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers whose weights the gradient is taken by, see :class:`~sklearn_cntk.CNTK`.
    filter_size : int, default=3
        Side of the square filters, odd.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold.  None takes them as feature vectors.
    width : int, default=128
        Channels of each convolution.
    n_draws : int, default=1
        Random networks to average over.
    random_state : int, default=0
        Draws the weights.  An integer, so that every call, and every clone, uses the same
        networks: blocks of a matrix that are computed one by one fit together.  From 0 to
        2**32 - 1, as scikit-learn's seeds.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the networks.
    verbose : int, default=0
        1 shows progress.

    See Also
    --------
    RandomCNTKFeatures : Explicit features with this kernel.
    sklearn_cntk.CNTK : The limit of infinite width.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cntk import CNTK
    >>> from sklearn_cntk.finite import EmpiricalCNTK
    >>> images = np.random.default_rng(0).random((5, 4, 4))
    >>> K = EmpiricalCNTK(depth=3, width=256, n_draws=8)(images)
    >>> exact = CNTK(depth=3)(images)
    >>> bool(np.linalg.norm(K - exact) < 0.1 * np.linalg.norm(exact))
    True
    """

    def __init__(
        self,
        depth: int = 11,
        gap: bool = True,
        *,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        width: int = 128,
        n_draws: int = 1,
        random_state: int = 0,
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
        self.n_draws = n_draws
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.verbose = verbose

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Kernel values of all pairs of X and Y.

        Parameters
        ----------
        X : array-like (n, height * width * channels), (n, height, width) or \
                (n, height, width, channels)
            Finite real numbers of any dtype.
        Y : array-like of the same kind with m images, default=None
            None, or the same object as `X`, computes the symmetric Gram matrix of `X`.
        eval_gradient : bool, default=False
            Whether to return the gradient by the hyperparameters that Gaussian processes
            optimise as well.  This kernel has none.

        Returns
        -------
        K : ndarray of float64, shape (n, m)
            A new array.
        K_gradient : ndarray, shape (n, n, 0)
            Only with ``eval_gradient=True``.

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name, before anything is computed; images
            so large that their kernel values exceed float64.
        """
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        symmetric = Y is None or Y is X
        X = as_images(X, self.image_shape)
        Y = X if symmetric else as_images(Y, self.image_shape, name="Y")
        check_same_shape(X, Y)
        networks, device = self._networks(X)
        dtype = select_dtype(self.dtype)
        rows_of, row_exponents = split_scale(X, dtype)
        columns_of, column_exponents = (
            (rows_of, row_exponents) if symmetric else split_scale(Y, dtype)
        )
        K = np.zeros((len(rows_of), len(columns_of)))
        label = f"{type(self).__name__} on {device_label(device)}"
        with progress_bar(K.size * len(networks), self.verbose, label) as advance:
            for seed in networks:
                network = self._network(X, seed, device)
                blocks = self._blocks(network, rows_of, columns_of, symmetric)
                for rows, columns, values in blocks:
                    K[rows, columns] += values
                    if symmetric and rows != columns:
                        K[columns, rows] += values.T
                    advance(values.size * (1 + (symmetric and rows != columns)))
        K /= len(networks)
        if symmetric:  # products of a block with itself are symmetric up to rounding only
            K = (K + K.T) / 2
        restore_scale(K, row_exponents[:, None] + column_exponents, *_EXCEEDED)
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X: ArrayLike) -> FloatArray:
        """Kernel value of each image with itself.

        Parameters
        ----------
        X : array-like, n images
            As in :meth:`__call__`.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError, TypeError
            As in :meth:`__call__`.
        """
        images = as_images(X, self.image_shape)
        networks, device = self._networks(images)
        images, exponents = split_scale(images, select_dtype(self.dtype))
        values = np.zeros(len(images))
        for seed in networks:
            network = self._network(images, seed, device)
            for rows in _slices(len(images), rows_at_a_time(network, images.shape[1:], _BUDGET)):
                for layer in self._gradients(network, images[rows]):
                    values[rows] += layer.squares().double().cpu().numpy()
        return restore_scale(values / len(networks), 2 * exponents, *_EXCEEDED)

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences of its inputs alone: it does not.

        Returns
        -------
        bool
            False.
        """
        return False

    def __repr__(self) -> str:
        defaults = type(self)().get_params()
        changed = {k: v for k, v in self.get_params().items() if repr(v) != repr(defaults[k])}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _networks(self, images):
        """Seeds of the networks and their device, all parameters checked."""
        try:
            seed = check_seed("random_state", self.random_state, bits=32)
        except TypeError as error:
            raise TypeError(
                f"{error} Every call of the kernel has to use the same networks."
            ) from None
        draws = check_integer("n_draws", self.n_draws, 1, "use 1 or more networks")
        return draw_seeds(seed, draws), select_device(self.device)

    def _network(self, images, seed, device):
        network = ConvolutionalNetwork(
            images.shape[1:],
            self.depth,
            self.gap,
            trained_layers=self.trained_layers,
            filter_size=self.filter_size,
            width=self.width,
            seed=seed,
            dtype=select_dtype(self.dtype),
        )
        return network.to(device)

    def _gradients(self, network, images):
        weights = network.readout
        return gradients(network, to_tensor(images, weights.dtype, weights.device))

    def _blocks(self, network, X, Y, symmetric):
        """Yield slices and values of the kernel's blocks, of the upper ones if symmetric."""
        n_gradients = len(X) if symmetric else len(X) + len(Y)
        held = n_gradients * number_of_weights(network) * network.readout.element_size()
        if held <= _HELD and not is_pixelwise(network, X.shape[1] * X.shape[2]):
            # Every gradient is formed once.
            left = explicit_gradients(network, X, _BUDGET)
            right = left if symmetric else explicit_gradients(network, Y, _BUDGET)
            values = (left @ right.T).to(torch.float64).cpu().numpy()
            yield slice(0, len(X)), slice(0, len(Y)), values
            return
        size = rows_at_a_time(network, X.shape[1:], _BUDGET)
        for rows in _slices(len(X), size):
            left = self._gradients(network, X[rows])
            for columns in _slices(len(Y), size):
                if symmetric and columns.start < rows.start:
                    continue
                same = symmetric and rows == columns
                right = left if same else self._gradients(network, Y[columns])
                values = sum(a.inner(b).to(torch.float64) for a, b in zip(left, right, strict=True))
                yield rows, columns, values.cpu().numpy()


def _slices(n, size):
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
