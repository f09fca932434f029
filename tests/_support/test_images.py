"""Arrays that are accepted as images."""

import numpy as np

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


def test_cupy_arrays_are_accepted(rng):
    class Array:
        """As CuPy's: no NumPy array by itself."""

        __module__ = "cupy"

        def __init__(self, values):
            self.values = values
            self.ndim, self.shape, self.dtype = values.ndim, values.shape, values.dtype

        def __len__(self):
            return len(self.values)

        def __array__(self, *arguments, **options):
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

        def get(self):
            return self.values

    X, y = normal(rng, 6, (4, 4, 1)), np.array([0, 1, 2, 0, 1, 2])
    weights = rng.uniform(1, 2, size=6)
    kernel = CNTK(3, device="cpu")
    np.testing.assert_array_equal(kernel(Array(X)), kernel(X))
    np.testing.assert_array_equal(kernel(Array(X), Array(X[:2])), kernel(X, X[:2]))
    for images in (X, X.reshape(6, 16)):
        for cls in (CNTKClassifier, CNTKRegressor):
            model = cls(3, image_shape=(4, 4), device="cpu").fit(images, y, weights)
            other = cls(3, image_shape=(4, 4), device="cpu")
            other.fit(Array(images), Array(y), Array(weights))
            np.testing.assert_array_equal(other.predict(Array(images)), model.predict(images))
    search = CNTKClassifierCV([2, 3], cv=2, device="cpu").fit(Array(X), Array(y))
    assert search.predict(Array(X)).shape == (6,)
