"""Predictions by blocks of test images."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk._compute import cached as _stored_gram
from sklearn_cntk._compute import job as _job
from sklearn_cntk._compute import tiles as _gram

N = 60
DIGITS = load_digits()
IMAGES, TEST = DIGITS.images[:N], DIGITS.images[N : 2 * N]
LABELS, TEST_LABELS = DIGITS.target[:N], DIGITS.target[N : 2 * N]


def small(cls, **parameters):
    return cls(depth=3, gap=False, **parameters)


@pytest.mark.parametrize("normalize", [False, True])
def test_blocks_of_predictions(normalize, monkeypatch):
    model = small(CNTKClassifier, normalize=normalize).fit(IMAGES, LABELS)
    expected = model.decision_function(TEST)
    monkeypatch.setattr(_job, "_BLOCK_VALUES", 7 * N)
    np.testing.assert_allclose(model.decision_function(TEST), expected, rtol=1e-12, atol=1e-13)
    kernel = CNTK(depth=3, gap=False, normalize=normalize)
    np.testing.assert_allclose(
        expected, kernel(TEST, IMAGES) @ model.dual_coef_, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("options", [{}, {"flip": True, "normalize": True}])
def test_training_images_are_prepared_once(options, monkeypatch, tmp_path):
    """And not once a block; memory is that of blocks."""

    def run(function, shared, arguments, n_jobs):
        prepared.append([len(images) for images in shared])
        return original(function, shared, arguments, n_jobs)

    def tiles(X, Y, parts, **options):
        largest.append(max(len(part.rows) for part in parts))
        return original_tiles(X, Y, parts, **options)

    prepared, largest = [], []
    original, original_tiles = _gram.run, _job.tiles
    model = small(CNTKClassifier, **options).fit(IMAGES, LABELS)
    stored = small(CNTKClassifier, memory=tmp_path, **options).fit(IMAGES, LABELS)
    expected = model.decision_function(TEST)
    monkeypatch.setattr(_job, "_BLOCK_VALUES", 7 * N)
    blocks = model.decision_function(TEST)
    monkeypatch.setattr(_gram, "run", run)
    monkeypatch.setattr(_job, "tiles", tiles)
    np.testing.assert_array_equal(model.decision_function(TEST), blocks)
    np.testing.assert_allclose(blocks, expected, rtol=1e-12, atol=1e-13)
    # The tiles that normalize needs are those of the test images with themselves.
    n_images = len(TEST) * (2 if options else 1)
    assert [shape for shape in prepared if shape[1] == N and shape[0] == n_images] == [
        [n_images, N]
    ]
    assert largest == [7]

    counted = []
    digests = _stored_gram.digests
    monkeypatch.setattr(
        _stored_gram, "digests", lambda images: counted.append(len(images)) or digests(images)
    )
    np.testing.assert_array_equal(stored.decision_function(TEST), blocks)
    looked_up = len(counted)
    monkeypatch.setattr(_job, "_STORED_VALUES", 14 * N)
    np.testing.assert_array_equal(stored.decision_function(TEST), blocks)
    assert len(counted) > 2 * looked_up  # blocks by twos, where all were looked up at once
