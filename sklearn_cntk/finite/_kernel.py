"""The Monte-Carlo CNTK of finite random networks, with scikit-learn's kernel interface."""

from __future__ import annotations

import numpy as np
import torch

from .._models.image_kernel import ImageKernel
from .._models.network_params import SettableNetwork
from .._support.checks import check_integer, check_seed
from .._support.docstrings import fill_docs
from .._support.images import check_same_shape
from .._support.progress import progress_bar
from ._gradients import (
    explicit_gradients,
    gradients,
    is_pixelwise,
    number_of_weights,
    rows_at_a_time,
)
from ._network import (
    degree_of,
    described,
    device_label,
    network_of,
    restore_scale,
    select_device,
    select_dtype,
    split_scale,
    to_tensor,
)
from ._parameters import EmpiricalParameters
from ._settings import default_settings

# Bytes of the gradients, and of the pixel-by-pixel products, that are held at a time.
_BUDGET = 2**28

# Gradients of all images are formed once and kept if they take up to this many bytes.
_HELD = 2**30


def draw_seeds(seed, n_draws):
    """Return seeds of `n_draws` networks; the first ones do not depend on how many follow."""
    children = np.random.SeedSequence(seed).spawn(n_draws)
    return [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]


@fill_docs
class EmpiricalCNTK(EmpiricalParameters, SettableNetwork, ImageKernel):
    """Neural tangent kernel of finite networks at random weights.

    The mean over `n_draws` networks of ``⟨∂f(θ, x)/∂θ, ∂f(θ, x')/∂θ⟩`` (eq. 2 of [1]_).  As
    `width` grows it converges to :class:`~sklearn_cntk.CNTK` (Theorem 3.1), with an error of
    about ``1 / sqrt(width * n_draws)`` and a bias of about ``1 / width``.  With
    ``trained_layers="last"`` it is the random-feature kernel of section 5, whose limit is the
    NNGP kernel.  Like :class:`~sklearn_cntk.CNTK`, it is a scikit-learn kernel.

    Parameters
    ----------
    {parameters}

    See Also
    --------
    RandomCNTKFeatures : Explicit features with this kernel.
    sklearn_cntk.CNTK : The limit of infinite width.

    References
    ----------
    {arora}

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

    @default_settings()
    def _gram(self, X, Y=None):
        symmetric = Y is None
        Y = X if symmetric else Y
        check_same_shape(X, Y)
        seeds = self._seeds()
        rows_of, row_exponents = self._split_scale(X)
        columns_of, column_exponents = (
            (rows_of, row_exponents) if symmetric else self._split_scale(Y)
        )
        K = np.zeros((len(rows_of), len(columns_of)))
        label = f"{type(self).__name__} on {device_label(select_device(self.device))}"
        with progress_bar(K.size * len(seeds), self.verbose, label) as advance:
            for seed in seeds:
                network = network_of(self, X.shape[1:], seed)
                blocks = self._blocks(network, rows_of, columns_of, symmetric)
                for rows, columns, values in blocks:
                    K[rows, columns] += values
                    if symmetric and rows != columns:
                        K[columns, rows] += values.T
                    advance(values.size * (1 + (symmetric and rows != columns)))
        K /= len(seeds)
        if symmetric:  # products of a block with itself are symmetric up to rounding only
            K = (K + K.T) / 2
        exponents = row_exponents[:, None] + column_exponents
        return restore_scale(K, exponents, "Kernel values", self.dtype)

    @default_settings()
    def _diagonal(self, images):
        seeds = self._seeds()
        images, exponents = self._split_scale(images)
        values = np.zeros(len(images))
        for seed in seeds:
            network = network_of(self, images.shape[1:], seed)
            for rows in _slices(len(images), rows_at_a_time(network, _BUDGET)):
                for layer in self._gradients(network, images[rows]):
                    values[rows] += layer.squares().double().cpu().numpy()
        return restore_scale(values / len(seeds), 2 * exponents, "Kernel values", self.dtype)

    def _split_scale(self, images):
        network = described(self, images.shape[1:])
        return split_scale(images, select_dtype(self.dtype), degree_of(network))

    def _seeds(self):
        """Return the seeds of the networks."""
        try:
            seed = check_seed("random_state", self.random_state, bits=32)
        except TypeError as error:
            raise TypeError(
                f"{error} Every call of the kernel has to use the same networks."
            ) from None
        draws = check_integer("n_draws", self.n_draws, 1, "use 1 or more networks")
        return draw_seeds(seed, draws)

    def _gradients(self, network, images):
        weights = network.readout
        return gradients(network, to_tensor(images, weights.dtype, weights.device))

    def _blocks(self, network, X, Y, symmetric):
        """Yield slices and values of the kernel's blocks, only the upper ones if symmetric."""
        n_gradients = len(X) if symmetric else len(X) + len(Y)
        held = n_gradients * number_of_weights(network) * network.readout.element_size()
        if held <= _HELD and not is_pixelwise(network):
            # Every gradient is formed once.
            left = explicit_gradients(network, X, _BUDGET)
            right = left if symmetric else explicit_gradients(network, Y, _BUDGET)
            values = (left @ right.T).to(torch.float64).cpu().numpy()
            yield slice(0, len(X)), slice(0, len(Y)), values
            return
        size = rows_at_a_time(network, _BUDGET)
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
