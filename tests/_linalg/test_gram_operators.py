"""Products with a Gram matrix on disk."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils import check_random_state

from sklearn_cntk import CNTK
from sklearn_cntk._linalg.conjugate_gradients import ridge_cg
from sklearn_cntk._linalg.gram_operators import ArrayGram, ZarrGram

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


def test_conjugate_gradients_on_disk(tmp_path, gram_to_zarr, rng):
    """As in memory: so the estimators solve with a matrix that is too large to be read once."""
    K = gram_to_zarr(CNTK(3, gap=False), IMAGES, store=tmp_path / "gram", chunk_size=64)[:]
    targets = rng.normal(size=(150, 2))
    on_disk, in_memory = (
        ridge_cg(gram, targets, 1e-2, tol=1e-10, max_iter=200, random_state=check_random_state(0))
        for gram in (ZarrGram(tmp_path / "gram", n_jobs=1), ArrayGram(K))
    )
    assert on_disk[1] == pytest.approx(in_memory[1], abs=2)
    np.testing.assert_allclose(on_disk[0], in_memory[0], atol=1e-8 * abs(in_memory[0]).max())
