"""What is precomputed for each image on its own: the scales s of every layer.

The diagonal D^h = Σ^h(x, x)[i, j, i, j] obeys a recursion of its own (paper, eq. 11 with λ = 1):

    D⁰ = box(Σ_c x_c²),      D^h = box(D^{h-1}) / q²

so the scales s = sqrt(D) of all layers cost P·Q numbers per image and layer.

Gauge.  K(ax, x') = a K(x, x'), so every image is scaled to entries D⁰ of at most 1, and the
factor 1/q² of a layer is divided by the share that zero padding leaves of the largest entry of an
all-ones image.  Numbers stay near 1 at any depth and image size, so float32 suffices for them,
and ``Gauge.magnitude`` restores the values.
"""

from dataclasses import dataclass

import numpy as np

from .diagonals import box_sum

# Scales below this fraction of an image's largest one count as 0, so that 1/(s s') stays finite:
# they contribute far less than the rounding errors of the rest.
SMALLEST_SCALE = {"float32": 1e-15, "float64": 1e-140}

# Growth that float32 allows in a recursion without losing range at either end.
_LARGEST_GROWTH = 1e15


@dataclass(frozen=True)
class Gauge:
    """Scaling of the layers of one image shape.

    Attributes
    ----------
    factors : ndarray (layers,)
        Replaces 1/q² in each layer.
    magnitude : ndarray (layers,)
        Multiplies the sums of a layer to undo the scaling.
    """

    factors: np.ndarray
    magnitude: np.ndarray

    @classmethod
    def of(cls, architecture, n_layers):
        """Return the gauge in which an all-ones image has the same largest D in every layer."""
        rows, columns, _ = architecture.image_shape
        radius = architecture.radius
        ones = np.zeros((rows, columns + radius))
        ones[:, :columns] = 1.0
        ones = ones.ravel()
        scratch = np.empty_like(ones)
        box_sum(ones, (rows, columns), radius, 1, scratch)
        factors = np.empty(n_layers)
        for layer in range(n_layers):
            before = ones.max()
            box_sum(ones, (rows, columns), radius, 1, scratch)
            factors[layer] = before / ones.max()
            ones *= factors[layer]
        return cls._of_factors(architecture, factors)

    @classmethod
    def in_steps(cls, architecture, n_layers):
        """Return a gauge whose factors are 1 except once every few layers.

        There the numbers return to those of the other gauge; in between they grow by at most the
        filter's area per layer.
        """
        area = np.prod(architecture.filter_sides)
        every = max(1, int(np.log(_LARGEST_GROWTH) / np.log(max(area, 2))))
        usual, factors = cls.of(architecture, n_layers).factors, np.ones(n_layers)
        for last in range(every - 1, n_layers, every):
            factors[last] = np.prod(usual[last + 1 - every : last + 1])
        return cls._of_factors(architecture, factors)

    @classmethod
    def _of_factors(cls, architecture, factors):
        return cls(factors, np.cumprod(1.0 / np.prod(architecture.filter_sides) / factors))


def scale_images(images, filter_size, out=None):
    """Return float64 copies of `images` (n, P, Q, C) scaled to D⁰ <= 1, and their scales (n,).

    The copies are written to `out`, of the images' shape, if it is given.
    """
    images = np.asarray(images)
    scaled = np.empty(images.shape) if out is None else out
    np.abs(images, out=scaled, dtype=np.float64)
    scales = scaled.max(axis=(1, 2, 3), initial=0.0)
    scales[scales == 0] = 1.0
    # In two steps, since the product may overflow even if the pixels do not.
    np.divide(images, scales[:, None, None, None], out=scaled)
    bound = filter_size * np.sqrt(images.shape[3])
    scaled /= bound
    return scaled, scales * bound
