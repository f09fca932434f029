"""Products with a Gram matrix on disk."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK
from sklearn_cntk._linalg.gram_operators import ZarrGram

IMAGES = load_digits().images[:150]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operator_on_disk(tmp_path, gram_to_zarr, rng, dtype):
    kernel = CNTK(3, gap=False)
    K = kernel(IMAGES).astype(dtype).astype(float)
    gram_to_zarr(kernel, IMAGES, store=tmp_path / "gram", chunk_size=40, dtype=dtype)
    gram = ZarrGram(tmp_path / "gram", n_jobs=2)
    V = rng.normal(size=(150, 3))
    np.testing.assert_allclose(gram.product(V), K @ V, rtol=1e-10)
    np.testing.assert_array_equal(gram.diagonal(), K.diagonal())
    np.testing.assert_array_equal(gram.columns([3, 39, 40, 149]), K[:, [3, 39, 40, 149]])
