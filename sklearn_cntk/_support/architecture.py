"""What is computed: the network for images of a shape, and the outputs read from it.

Nothing here depends on arrays or engines.  Both classes are validated once, on construction,
so the code that uses them needs no checks of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from . import checks
from .layers import check_bias_variance, check_weight_variance
from .network import NAMES, Network

#: The depth that None means for a plain network.
DEFAULT_DEPTH = 6

#: The depths that searches compare where None is given.
DEFAULT_DEPTHS = (3, 4, 6, 11)

TRAINED_LAYERS = ("all", "hidden", "last")

#: Parameters that describe plain networks, and have no meaning for a Network.
OF_PLAIN = ("filter_size", "bias_variance", "weight_variance")


@dataclass(frozen=True)
class Architecture:
    """Input shape and layers of the network, common to all of its readouts.

    The fields are the parameters of :class:`~sklearn_cntk.CNTK` that define the layers.  A
    `network` that is the paper's, by name or by its layers, is "plain" here, at any depth.
    """

    image_shape: tuple[int, int, int]  # rows P, columns Q and channels C
    filter_size: int = 3  # odd, so that "same" zero padding is symmetric
    network: str | Network = "plain"
    bias_variance: float = 0.0
    weight_variance: float | None = None

    def __post_init__(self):
        q = checks.check_integer("filter_size", self.filter_size, 1, "use an odd number such as 3")
        if q % 2 == 0:
            raise ValueError(f"filter_size={q} is even: use an odd number such as {q + 1}.")
        network = check_network(self.network)
        values = {
            "filter_size": q,
            "network": network,
            "bias_variance": check_bias_variance("bias_variance", self.bias_variance),
            "weight_variance": check_weight_variance("weight_variance", self.weight_variance),
        }
        several = min(self.image_shape[:2]) > 1
        if isinstance(network, Network):
            self._check_alone(network, values)
            plain_size = network.plain_filter_size
            if plain_size == 1 or (plain_size is not None and several):
                values |= {"network": "plain", "filter_size": plain_size}
        elif max(self.image_shape[:2]) == 1:
            values["filter_size"] = 1
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_alone(self, network, values):
        """Raise if parameters of a plain network are given along with a Network."""
        for name in OF_PLAIN:
            default = getattr(type(self), name)
            if values[name] == default:
                continue
            remedy = "give each Conv its size"
            if name != "filter_size":
                remedy = f"set network={network!r}.with_params({name}={values[name]!r})"
            raise ValueError(
                f"{name}={values[name]!r} has no meaning for network={self.network!r}, whose "
                f"layers have their own: leave {name}={default!r}, and {remedy}."
            )

    @classmethod
    def of(cls, kernel, image_shape):
        """Return the architecture that a kernel's parameters define, for images of a shape."""
        return cls(image_shape, **_parameters(cls, kernel, but=("image_shape",)))

    @property
    def is_plain(self):
        """Whether it is the paper's: convolutions of one size without biases, ReLU after each."""
        return self.network == "plain" and not self.bias_variance and self.weight_variance is None

    @property
    def is_homogeneous(self):
        """Whether scaling an image scales its kernel values by the same factor."""
        network = self.network
        if not isinstance(network, Network):
            return not self.bias_variance
        return network.channel_degree == 1 and not network.dense_bias_variance

    @property
    def parameters(self):
        """The parameters by name, without the shape of the images, in a form for JSON."""
        sides = self.filter_sides
        values: dict[str, Any] = {"filter_size": sides[0] if len(set(sides)) == 1 else list(sides)}
        if isinstance(self.network, Network):
            values["network"] = f"{self.network!r} {self.network.digest}"
        return values | {
            name: value
            for name, value in asdict(self).items()
            if name not in ("image_shape", "network", *values)
            and value != getattr(type(self), name)
        }

    @property
    def name(self):
        """Its name in stores, such as "32x32x3-q3"."""
        shape = "x".join(map(str, self.image_shape))
        layers = "q" + "x".join(map(str, dict.fromkeys(self.filter_sides)))
        if isinstance(self.network, Network):
            layers = f"network{self.network.digest}"
        return "-".join([shape, layers, *_later(self, "image_shape", "filter_size", "network")])

    @property
    def filter_sides(self):
        """Rows and columns of a plain network's filters: 1 along an axis of one pixel."""
        rows, columns, _ = self.image_shape
        return tuple(self.filter_size if side > 1 else 1 for side in (rows, columns))

    @property
    def radius(self):
        """Number of pixels that a filter of a plain network reaches to either side, (q - 1) / 2."""
        return (self.filter_size - 1) // 2

    def layers(self, depth):
        """Return the Network of a depth."""
        if isinstance(self.network, Network):
            return self.network.prefix(depth)
        return _plain(depth, self.filter_sides, self.bias_variance, self.weight_variance)

    def depths_up_to(self, readout):
        """Return the depths whose networks have the readout as a by-product of its pass."""
        lowest = readout.lowest_depth
        depths = range(lowest, readout.depth + 1)
        if isinstance(self.network, Network):
            return [depth for depth in self.network.depths if depth in depths]
        return depths


@lru_cache(maxsize=64)
def _plain(depth, filter_sides, bias_variance, weight_variance):
    """Return the Network of a plain architecture, cached since engines often ask for it."""
    network = Network.plain(depth, filter_sides, bias_variance=bias_variance)
    if weight_variance is None:
        return network
    return network.with_params(weight_variance=weight_variance)


@dataclass(frozen=True)
class Readout:
    """One kernel that a pass over the layers yields.

    The fields are the parameters of :class:`~sklearn_cntk.CNTK` that define the number of layers,
    which of them are trained, and how the last one is pooled.  With ``gap=False`` and ``lap=0``,
    the feature map is flattened, and the readout is a trace.
    """

    depth: int
    gap: bool = True
    trained_layers: str = "all"
    lap: int = 0
    frozen_layers: int = 0

    def __post_init__(self):
        checks.check_choice("trained_layers", self.trained_layers, TRAINED_LAYERS)
        minimum = 3 if self.trained_layers == "hidden" else 1
        depth = checks.check_integer(
            "depth",
            self.depth,
            minimum,
            f"depth counts the convolutions and the dense layer, at least {minimum} with "
            f"trained_layers={self.trained_layers!r}",
        )
        object.__setattr__(self, "depth", depth)
        frozen = checks.check_integer(
            "frozen_layers", self.frozen_layers, 0, "use a number of convolutions, or 0 for none"
        )
        if frozen and self.trained_layers == "last":
            raise ValueError(
                f"frozen_layers={frozen} has no meaning with trained_layers='last', which freezes "
                "all convolutions: leave frozen_layers=0, or use trained_layers='all'."
            )
        most = depth - 1 - (self.trained_layers == "hidden")
        if frozen > most:
            raise ValueError(
                f"frozen_layers={frozen} is too large: depth={depth} with "
                f"trained_layers={self.trained_layers!r} allows at most {most}."
            )
        object.__setattr__(self, "frozen_layers", frozen)
        object.__setattr__(
            self,
            "lap",
            checks.check_integer("lap", self.lap, 0, "use a radius of 0 or more pixels"),
        )
        object.__setattr__(self, "gap", checks.check_flag("gap", self.gap))
        if self.gap and self.lap:
            raise ValueError(f"lap={self.lap} excludes gap=True: set gap=False or lap=0.")

    @classmethod
    def of(cls, kernel):
        """Return the readout that a kernel's parameters define; `depth=None` is the default."""
        parameters = _parameters(cls, kernel)
        return cls(**parameters | {"depth": check_depth(kernel.network, kernel.depth)})

    @property
    def parameters(self):
        """The parameters, sorted by name; `frozen_layers` only if it is not 0."""
        values = asdict(self)
        if not self.frozen_layers:
            del values["frozen_layers"]
        return dict(sorted(values.items()))

    @property
    def convolutions(self):
        """Number L of convolutional layers."""
        return self.depth - 1

    @property
    def frozen(self):
        """How many of the first convolutions are frozen; all of them with "last"."""
        if self.trained_layers == "last":
            return self.convolutions
        return max(self.frozen_layers, int(self.trained_layers == "hidden"))

    @property
    def lowest_depth(self):
        """The smallest depth at which a plain network has this readout."""
        hidden = self.trained_layers == "hidden"
        return max(3 if hidden else 2, self.frozen_layers + 1 + hidden)

    @property
    def name(self):
        """Its name in stores, such as "d11-gap-all"."""
        pooling = "gap" if self.gap else f"lap{self.lap}" if self.lap else "trace"
        later = _later(self, "depth", "gap", "lap", "trained_layers")
        return "-".join([f"d{self.depth}", pooling, self.trained_layers, *later])

    def max_displacement(self, image_shape):
        """Return the largest |row| and |column| displacement whose plane the readout needs."""
        rows, columns = image_shape[:2]
        if self.gap:
            return rows - 1, columns - 1
        return min(2 * self.lap, rows - 1), min(2 * self.lap, columns - 1)


def check_network(network):
    """Return `network` as "plain" or a Network, or say what would work."""
    if isinstance(network, Network):
        return network
    if not isinstance(network, str):
        raise TypeError(
            f"network must be a Network or one of {NAMES}, got {network!r} "
            f"({type(network).__name__})."
        )
    checks.check_choice("network", network, NAMES, " or a Network")
    return network if network == "plain" else Network.named(network)


def check_depth(network, depth):
    """Return the `depth` of a prefix of `network`; None is all of it, or 6 if it is plain."""
    network = check_network(network)
    if depth is None:
        return DEFAULT_DEPTH if network == "plain" else network.depth
    if network != "plain":
        network.prefix(depth)
    return depth


def depths_of(network, depths, networks):
    """Return those of the candidate `depths` that one of several `networks` has.

    None means the default depths for a plain network, and all layers for any other.
    """
    network = check_network(network)
    if depths is None:
        return DEFAULT_DEPTHS if network == "plain" else (None,)
    checks.check_sequence("depths", depths, "(3, 6, 11)")
    others = [one for one in map(check_network, networks) if one != network]
    if network == "plain" or not others:
        return depths
    found = [depth for depth in depths if depth in network.depths]
    if not found:
        raise ValueError(
            f"depths={depths!r} has no depth of network={network!r}, which has {network.depths}: "
            "add one of these, or leave the network out."
        )
    return found


def _later(description, *known):
    """Return "name=value" of fields that are newer than the `known` ones, unless they are defaults.

    This keeps the names of existing entries in stores.
    """
    values = ((f, getattr(description, f.name)) for f in fields(description))
    return [
        f"{f.name}={value}" for f, value in values if f.name not in known and value != f.default
    ]


def _parameters(cls, kernel, but=()):
    """Return the parameters of a kernel that are fields of `cls`."""
    return {
        field.name: getattr(kernel, field.name) for field in fields(cls) if field.name not in but
    }


def lap_weights(size, radius):
    """Return weights w[i, i'] of local average pooling along an axis of `size` pixels.

    Windows of ``2 * radius + 1`` pixels are centred on each pixel of the image and padded with
    zeros, so w[i, i'] counts the windows that hold both i and i', over ``(2 * radius + 1)**2``
    (Li et al. 2019).

    Returns
    -------
    ndarray of float64, shape (size, size)
    """
    pixels = np.arange(size)
    window = (abs(pixels[:, None] - pixels) <= radius).astype(float)
    return window @ window / (2 * radius + 1) ** 2


def path_readouts(
    depths,
    gap,
    lap,
    trained_layers,
    *,
    network="plain",
    frozen_layers=0,
    names=("depths", "gap", "lap"),
):
    """Return the readouts of all combinations, depth slowest; raise if there are none.

    `names` are those of the caller's parameters, for error messages.
    """
    checks.check_sequence(names[0], depths, "(3, 6, 11)")
    checks.check_sequence(names[1], gap, "(True, False)")
    checks.check_sequence(names[2], lap, "(1, 2)")
    checks.check_sequence("trained_layers", trained_layers, "('all', 'last')")
    poolings = [(pool, 0) for pool in gap] + [(False, radius) for radius in lap]
    readouts = [
        Readout(check_depth(network, depth), pool, trained, radius, frozen_layers)
        for depth, trained, (pool, radius) in product(depths, trained_layers, poolings)
    ]
    if not readouts:
        raise ValueError(
            f"no readout results from {names[0]}={depths!r}, {names[1]}={gap!r}, "
            f"{names[2]}={lap!r} and trained_layers={trained_layers!r}: give at least one depth, "
            f"one of trained_layers, and one pooling by {names[1]} or {names[2]}."
        )
    return list(dict.fromkeys(readouts))
