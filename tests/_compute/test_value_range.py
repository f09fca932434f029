"""Kernel values that leave the range of float64."""

import numpy as np
import pytest

from sklearn_cntk import CNTK, CNTKRegressor


@pytest.fixture
def kernel():
    return CNTK(depth=3, gap=False, image_shape=(8, 8))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("gap", [True, False])
def test_values_below_the_range_of_floats(gap, normalize, rng):
    images = rng.random((3, 4, 4))
    kernel = CNTK(depth=3, gap=gap, normalize=normalize)
    message = r"images that are not 0 are below .* at depth=3 with pixels of up to .*e-17[01]"
    for compute in (
        lambda: kernel(images * 1e-170),
        lambda: kernel(images * 1e-170, images * 1e-150),
        lambda: kernel.diag(images * 1e-170),
    ):
        with pytest.warns(RuntimeWarning, match=message):
            compute()
    few = rng.random((3, 2, 2))
    with pytest.warns(RuntimeWarning, match="depth=400 .* use a smaller depth or filter_size"):
        CNTK(depth=400, gap=gap, filter_size=5, normalize=normalize)(few)
    # As the message says, and without a warning where nothing is lost: 0, and disjoint images.
    assert np.all(CNTK(depth=400, gap=gap, filter_size=1)(few) > 0)
    assert np.all(CNTK(depth=400, gap=gap, filter_size=3)(few.reshape(3, 4)) > 0)
    assert np.all(kernel(np.zeros((2, 4, 4))) == 0)
    assert np.all(kernel(images, np.zeros((2, 4, 4))) == 0)
    apart = np.zeros((2, 9, 9))
    apart[0, 0, 0] = apart[1, 8, 8] = 1.0
    assert CNTK(depth=2, gap=False)(apart[:1], apart[1:]) == 0


@pytest.mark.parametrize("normalize", [False, True])
def test_values_beyond_the_range_of_floats(normalize, rng):
    images = rng.random((3, 4, 4))
    kernel = CNTK(depth=3, normalize=normalize)
    message = (
        r"beyond the range .* at depth=3 with pixels of up to .*e\+1(69|70): divide the pixels"
    )
    for others in (None, images * 1e160):
        with pytest.raises(ValueError, match=message):
            kernel(images * 1e170, others)
    with pytest.raises(ValueError, match=message):
        kernel.diag(images * 1e170)


def test_predictions_beyond_the_range_of_floats(rng):
    images = rng.random((5, 4, 4))
    model = CNTKRegressor(depth=3).fit(images * 1e100, np.arange(5))
    with pytest.raises(ValueError, match="beyond the range of float64"):
        model.predict(images * 1e300)
    small = CNTKRegressor(depth=3).fit(images * 1e-150, np.arange(5))
    with pytest.warns(RuntimeWarning, match="below the range of float64"):
        small.predict(images * 1e-170)
