"""Estimates of cost."""

import pytest

from sklearn_cntk import CNTK


def test_estimate():
    cost = CNTK(6, image_shape=(8, 8)).estimate(1000)
    assert cost.pairs == 500_500
    assert cost.element_layers == 500_500 * 64**2 * 5
    assert cost.bytes == 8_000_000
    assert cost.seconds > 0
    assert "pairs of images" in str(cost)
    trace = CNTK(6, gap=False, flip=True).estimate(10, 20, image_shape=(8, 8, 3))
    assert trace[:3] == (400, 400 * 64 * 5, 1600)
    assert trace.seconds < cost.seconds
    with pytest.raises(ValueError, match="image_shape=None"):
        CNTK().estimate(10)
    with pytest.raises(ValueError, match="n_x=0 is too small"):
        CNTK(image_shape=(8, 8)).estimate(0)
