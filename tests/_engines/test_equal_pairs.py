"""Pairs of equal images: which they are, and what their plane (0, 0) adds."""

import numpy as np
import pytest
from engines import reference

from sklearn_cntk._engines.equal_pairs import ImageIds, self_values
from sklearn_cntk._engines.plan import Plan
from sklearn_cntk.networks import Architecture, Readout


@pytest.mark.parametrize("collide", [False, True])
@pytest.mark.parametrize(
    "dtypes", [("f4", "f4"), ("u1", "f4"), ("i8", "f8"), ("g", "f8"), ("?", "u1"), ("i8", "u8")]
)
def test_images_are_equal_as_engines_see_them(dtypes, collide):
    """Across dtypes, with zeros of either sign, whatever their hashes are."""
    X = np.array([[0, 1], [1, 1], [0, 1], [1, 0]]).astype(dtypes[0])
    Y = np.array([[1, 0], [0, 1], [0, 0]]).astype(dtypes[1])
    if Y.dtype.kind == "f":
        Y[Y == 0] = -0.0
    if dtypes[0] in ("i8", "g"):  # more digits than float64 has
        X[1] += X[1] * np.array(2, X.dtype) ** 53
        Y[2] = X[1] - 1 if dtypes == ("i8", "u8") else 2.0**53
    ids = ImageIds(X.dtype, Y.dtype, hash_of=(lambda data: 0) if collide else hash)
    x, y = (ids.of(images.reshape(-1, 1, 2, 1)) for images in (X, Y))
    equal = (X.astype("f8")[:, None] == Y.astype("f8")).all(axis=2)
    np.testing.assert_array_equal(x[:, None] == y, equal)
    assert equal.any()


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("filter_size", [1, 3, 5])
def test_self_values_are_kernel_values_where_no_other_plane_counts(
    trained_layers, filter_size, rng
):
    """Which take no other plane."""
    images, architecture = rng.normal(size=(4, 5, 3, 2)), Architecture((5, 3, 2), filter_size)
    readouts = [Readout(depth, False, trained_layers) for depth in (3, 6)]
    values = self_values(Plan(architecture, readouts, "float32"), images)
    expected = reference.pairs(images, images, architecture, readouts)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
