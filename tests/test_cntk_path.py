"""cntk_path: one pass, equal to single kernels."""

import numpy as np
import pytest
from engines import RecordingEngine, RefusingEngine
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, cntk_path
from sklearn_cntk._support.ram import available_bytes

IMAGES = load_digits().images[:40]


@pytest.mark.parametrize("options", [{}, {"normalize": True}, {"flip": True}])
@pytest.mark.parametrize("others", [None, IMAGES[30:35].copy()])
def test_equals_single_kernels_bit_for_bit(options, others):
    grams, readouts = cntk_path(
        IMAGES,
        others,
        depths=[3, 5],
        lap=[1],
        trained_layers=("all", "hidden", "last"),
        **options,
    )
    assert grams.shape == (18, 40, 40 if others is None else 5)
    assert len({tuple(readout.items()) for readout in readouts}) == 18
    for gram, readout in zip(grams, readouts, strict=True):
        single = CNTK(**readout, **options)(IMAGES, others)
        np.testing.assert_array_equal(gram, single)


def test_one_pass():
    engine = RecordingEngine()
    cntk_path(IMAGES, IMAGES, depths=range(2, 7), gap=[False], device=engine)
    assert engine.calls == [(len(IMAGES), "symmetric")]
    assert engine.n_readouts == [5]


def test_asking_twice_returns_once():
    _, readouts = cntk_path(IMAGES[:2], depths=[3, 3], gap=(False, False), lap=[0])
    assert readouts == [{"depth": 3, "gap": False, "lap": 0, "trained_layers": "all"}]


def test_nothing_asked():
    with pytest.raises(ValueError, match=r"no readout results from depths=\[\]"):
        cntk_path(IMAGES, depths=[])
    with pytest.raises(ValueError, match=r"gap=\(\), lap=\(\)"):
        cntk_path(IMAGES, depths=[3], gap=())


@pytest.mark.parametrize(
    "parameter", [{"depths": 3}, {"gap": True}, {"lap": 1}, {"trained_layers": "all"}]
)
def test_single_values_are_named(parameter):
    ((name, value),) = parameter.items()
    with pytest.raises(TypeError, match=f"{name}={value!r} must be a sequence of values, such as"):
        cntk_path(IMAGES, **{"depths": [3], **parameter})


def test_memory_is_checked_first(free_memory):
    free_memory(2**30)
    images = np.zeros((10_000, 1, 1))
    with pytest.raises(MemoryError, match=r"2 Gram matrices needs 1.5 GiB, but 1.0 GiB are free"):
        cntk_path(images, depths=[3], gap=[True, False], device=RefusingEngine())


def test_there_is_memory():
    assert available_bytes() > 2**20
