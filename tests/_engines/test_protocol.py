"""Every member of the protocol, of every engine."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk._engines import select_engine
from sklearn_cntk._engines.protocol import Engine, TileLimits
from sklearn_cntk.networks import Architecture, Readout

SHAPE = (3, 4, 2)
ARCHITECTURE = Architecture(SHAPE)
READOUTS = [Readout(3), Readout(4, False), Readout(4, False, "hidden", lap=1)]


@pytest.fixture
def images(rng):
    X, Y = rng.normal(size=(5, *SHAPE)), rng.normal(size=(4, *SHAPE))
    Y[1] = X[3]
    return X, Y


def test_is_an_engine(engine):
    assert isinstance(engine, Engine)
    assert select_engine(engine) is engine
    assert not isinstance("cpu", Engine)
    with pytest.raises(ValueError, match="device=.* is unknown"):
        select_engine(type(engine))


def test_clones_share_it(engine):
    kernel = CNTK(3, device=engine)
    assert clone(kernel).device is engine
    assert clone(CNTKClassifier(device=engine)).device is engine


def test_label_and_devices(engine):
    assert isinstance(engine.label, str)
    assert engine.label
    assert isinstance(engine.devices, Sequence)


def test_most_calls(engine):
    assert engine.most_calls is None or engine.most_calls >= 1


@pytest.mark.parametrize("travelling", [False, True])
def test_limits(engine, travelling):
    limits = engine.limits(travelling)
    assert isinstance(limits, TileLimits)
    assert all(limit > 0 for limit in limits[:-1])
    assert limits.small_work >= 0
    assert limits.side % 16 == 0  # vectors of lanes
    if travelling:  # workers are many, and far
        assert limits.calls_a_job > engine.limits(False).calls_a_job


def test_gram_and_pairs(engine, images):
    X, Y = images
    values = engine.gram(X, Y, ARCHITECTURE, READOUTS, dtype="float64")
    assert values.shape == (3, 5, 4)
    assert values.dtype == np.float64
    of_pairs = engine.pairs(X[:4], Y, ARCHITECTURE, READOUTS, dtype="float64")
    assert of_pairs.shape == (3, 4)
    assert of_pairs.dtype == np.float64
    diagonal = values[:, :4].diagonal(axis1=1, axis2=2)
    np.testing.assert_allclose(of_pairs, diagonal, rtol=1e-13)


@pytest.mark.parametrize(("rows", "columns"), [(slice(1, 4), [0, 2, 3]), ([4, 0], slice(None))])
def test_prepared_calls(engine, images, rows, columns):
    """Tiles of a call are those of the engine; mirrored, those of mirrored images."""
    X, Y = images
    call = engine.prepare(X, Y, ARCHITECTURE, READOUTS, "float64")
    plain = engine.gram(X[rows], Y[columns], ARCHITECTURE, READOUTS, dtype="float64")
    np.testing.assert_array_equal(call.gram(rows, columns), plain)
    mirrored = engine.gram(X[rows][:, :, ::-1], Y[columns], ARCHITECTURE, READOUTS, dtype="float64")
    np.testing.assert_array_equal(call.gram(rows, columns, flip=True), mirrored)
    upper = np.triu(np.ones(plain.shape[1:], dtype=bool), 1)
    np.testing.assert_array_equal(call.gram(rows, columns, 1)[:, upper], plain[:, upper])


def test_prepared_for_one_set_of_images(engine, images):
    X, _ = images
    call = engine.prepare(X, X, ARCHITECTURE, READOUTS, "float32")
    expected = engine.gram(X, X, ARCHITECTURE, READOUTS)
    np.testing.assert_array_equal(call.gram(slice(None), slice(None)), expected)
