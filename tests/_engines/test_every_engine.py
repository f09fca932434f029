"""What holds for every engine: its interface, and images of zeros."""

import numpy as np
import pytest
from engines import cpu, reference

from sklearn_cntk.networks import Architecture, Readout

TRACE_AND_GAP = [Readout(d, g, t) for d in (3, 5) for g in (True, False) for t in ("all", "last")]


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


# --- the interface ------------------------------------------------------------------------------


def test_one_pass_equals_single_passes(engine, rng):
    X, Y = normal(rng, 3, (4, 5, 2)), normal(rng, 2, (4, 5, 2))
    architecture = Architecture((4, 5, 2))
    readouts = [*TRACE_AND_GAP, Readout(4, True, "hidden"), Readout(4, False, "all", lap=1)]
    together = engine.gram(X, Y, architecture, readouts)
    # Bit for bit, but that the reference sums a trace over a plane when it is alone, and that
    # compilers may fuse other operations of a kernel with less states.
    tolerance = 0 if engine is cpu else 1e-14 if engine is reference else 1e-6
    for values, readout in zip(together, readouts, strict=True):
        alone = engine.gram(X, Y, architecture, [readout])[0]
        np.testing.assert_allclose(values, alone, rtol=tolerance)


def test_pairs_of_reference(rng):
    X, Y = normal(rng, 3, (3, 4, 1)), normal(rng, 3, (3, 4, 1))
    values = reference.pairs(X, Y, Architecture((3, 4, 1)), TRACE_AND_GAP)
    full = reference.gram(X, Y, Architecture((3, 4, 1)), TRACE_AND_GAP)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


@pytest.mark.parametrize("triu", [-40, -3, 0, 2, 21, 60])
def test_triu(engine, triu, rng):
    shape = (20, 37) if engine is cpu else (4, 5)
    X, Y = normal(rng, shape[0], (3, 3, 1)), normal(rng, shape[1], (3, 3, 1))
    architecture, readouts = Architecture((3, 3, 1)), [Readout(3)]
    upper = np.triu(np.ones(shape, dtype=bool), triu)
    values = engine.gram(X, Y, architecture, readouts, triu=triu)[0]
    np.testing.assert_array_equal(
        values[upper], engine.gram(X, Y, architecture, readouts)[0][upper]
    )


# --- special images -----------------------------------------------------------------------------


def test_zero_images_and_patches(engine, rng):
    X = normal(rng, 3, (6, 7, 1))
    X[0] = 0
    X[1, :5] = 0
    X[1, 5:, 0] = -0.0
    values = engine.gram(X, X, Architecture((6, 7, 1)), TRACE_AND_GAP)
    assert np.isfinite(values).all()
    assert not values[:, 0].any()
    assert (values[:, 1, 2] > 0).all()
