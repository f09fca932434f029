"""Weights of local average pooling."""

import pytest

from sklearn_cntk._support.network import lap_weights


@pytest.mark.parametrize(("size", "radius"), [(1, 0), (5, 0), (5, 1), (4, 2), (3, 7)])
def test_lap_weights_count_windows(size, radius):
    weights = lap_weights(size, radius)
    for i in range(size):
        for j in range(size):
            windows = [o for o in range(size) if abs(o - i) <= radius and abs(o - j) <= radius]
            assert weights[i, j] == pytest.approx(len(windows) / (2 * radius + 1) ** 2)
