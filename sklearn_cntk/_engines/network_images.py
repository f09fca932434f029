"""Images prepared for a network: their scales, units and variances, before pairs are formed."""

from functools import lru_cache

import numpy as np

from .network_arrays import PlanArrays
from .network_plan import ADD, CONV, ERF, GELU, NORM, READ
from .scales import scale_images


class NetworkImages:
    """Images ready for a network's passes.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)
    plan : NetworkPlan
    record : callable
        ``record(plan.diagonals, pixels, units)`` returns the variances (n, pixels) of images with
        themselves, in the order of `PlanArrays.pixels_of`; the engine computes them in float64.

    Attributes
    ----------
    pixels : ndarray (n, P, Q, C)
        Scaled.
    scales : ndarray (n,)
        Factors of the features if the network is homogeneous; else 1.
    units : ndarray (n, units)
        Units of the operations' outputs: planes hold values divided by them.
    variances : ndarray (n, pixels)
        Σ(x, x) before every activation and normalisation, and after every sum.
    """

    def __init__(self, images, plan, record):
        self.pixels, scales = scale_images(images, filter_size=1)
        n = len(images)
        scales /= np.sqrt(images.shape[3])
        self.scales = np.ones(n)
        first, least = np.ones(n), 0.0
        if plan.network.channel_degree is not None:
            self.scales = scales
        else:
            # An image far below the biases has no effect, and its unit would lose its digits.
            biases = [o.layer.bias_variance for o in plan.operations if o.kind == CONV]
            least = 1e-12 * np.sqrt(max(biases, default=0.0))
            first = np.maximum(scales, least)
            self.pixels *= (scales / first)[:, None, None, None]
        diagonals = plan.diagonals
        true_units = _units(diagonals, first, lambda operation: np.ones(n))
        self.variances = record(diagonals, self.pixels, true_units)
        pixels_of = arrays_of_diagonals(diagonals).pixels_of

        def made(operation):
            """Return the largest scale, made nonzero."""
            if operation.kind in (ERF, GELU, NORM) or operation.normalised:
                return np.ones(n)
            unit = np.sqrt(self.variances[:, pixels_of[operation.units[-1]]].max(axis=1))
            return np.maximum(np.where(unit > 0, unit, 1.0), least)

        self.units = _units(plan, first, made)

    def __len__(self):
        return len(self.pixels)


@lru_cache(maxsize=32)
def arrays_of_diagonals(diagonals):
    """Return the PlanArrays of `NetworkPlan.diagonals`."""
    return PlanArrays(diagonals, "float64", zero_first=True)


def _units(plan, first, made):
    """Return units (images, units): the first is given, ``made(operation)`` returns the others.

    A convolution multiplies its unit by the root of the factor of its box sums, so that planes hold
    the sums themselves.
    """
    units = np.ones((len(first), plan.units))
    units[:, 0] = first
    for operation in plan.operations:
        if operation.kind == CONV:
            pixels = operation.layer.sides[0] * operation.layer.sides[1]
            factor = np.sqrt(plan.variances[operation.number] / pixels)
            units[:, operation.units[-1]] = factor * units[:, operation.units[0]]
        elif operation.kind != READ:
            units[:, operation.units[-1]] = made(operation)
    return units


def linear_numbers(arrays, units):
    """Return two numbers (n, 2 · operations) for every operation with an output, from `units`.

    `CONV`: unused, and the bias; `ADD`: the factors of both terms; others: the unit of the input,
    and the factor that brings K̇ ⊙ Θ to the unit of the output.  Engines multiply the numbers of x
    by those of x'.
    """
    numbers = np.zeros((len(units), 2 * arrays.n_linear))
    for operation in arrays.plan.operations:
        if operation.kind == READ:
            continue
        at = 2 * arrays.linear[operation.units[-1]]
        made = units[:, operation.units[-1]]
        read = [units[:, unit] for unit in operation.units[:-1]]
        if operation.kind == CONV:
            numbers[:, at + 1] = np.sqrt(operation.layer.bias_variance) / made
        elif operation.kind == ADD:
            numbers[:, at], numbers[:, at + 1] = read[0] / made, read[1] / made
        else:
            numbers[:, at] = read[0]
            numbers[:, at + 1] = (1 if operation.normalised else read[0]) / made
    return numbers


def network_values(plan, sum_of, product):
    """Return kernel values (readout, …) from sums over planes of pairs of NetworkImages.

    ``sum_of(number, state)`` returns the sums (…) for a read and a state, in the units of the
    images.  ``product(numbers_of)`` multiplies the values of ``numbers_of(images)`` of both sides.
    """

    def in_true_units(number, state):
        read = plan.reads[number]
        values = sum_of(number, state) * product(lambda images: images.units[:, read.unit])
        return values * product(lambda images: images.scales) if read.homogeneous else values

    with np.errstate(over="ignore", invalid="ignore"):  # callers check the values
        return plan.read(in_true_units)
