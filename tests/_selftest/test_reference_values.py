"""The package's reference values are those of the oracle."""

import numpy as np
import oracle

from sklearn_cntk._selftest import reference_values as _reference_values


def test_reference_values_are_the_oracles():
    X, Y = oracle.images(2)
    np.testing.assert_array_equal(_reference_values.X, X[0].ravel())
    np.testing.assert_array_equal(_reference_values.Y, Y[0].ravel())
    expected = {}
    for entry in oracle.SPEC:
        if (entry["case"], entry["depth"]) == (2, 6):
            assert tuple(entry["image_shape"]) == _reference_values.IMAGE_SHAPE
            assert entry["filter_size"] == _reference_values.FILTER_SIZE
            key = (6, entry["readout"] == "gap", oracle.lap(entry), entry["trained_layers"])
            expected[key] = oracle.VALUES[entry["key"]][0, 0]
    assert expected == _reference_values.VALUES
