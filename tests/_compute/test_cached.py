"""`memory`: every pair of images computed once, whoever asks, however often and in what order."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from stored_kernels import kernels

from sklearn_cntk import CNTK, CNTKRegressor, cntk_path
from sklearn_cntk._compute.cached import Distinct, stored_diagonals, stored_gram
from sklearn_cntk._compute.job import HeldValues
from sklearn_cntk._store.entries import digests


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_overlapping_requests(images, tmp_path, counting, flip, normalize):
    """Any rows in any order, rectangles, repeated images: values as without memory, pairs once."""
    stored, plain = kernels(tmp_path, counting, flip=flip, normalize=normalize, dtype="float64")
    order = np.random.default_rng(1).permutation(30)
    twice = np.concatenate([images[:7], images[:3]])
    requests = [
        (images[:9], None),
        (images[5:20], None),
        (images[:12], images[3:25]),
        (images[order], None),
        (images[order[::-1]], images[::3]),
        (twice, None),
        (twice, images[2:6]),
    ]
    for X, Y in requests:
        np.testing.assert_allclose(stored(X, Y), plain(X, Y), rtol=1e-12, atol=1e-15)
    computed = {key: n for key, n in counting.pairs_computed.items() if "diagonal" not in key}
    assert max(computed.values()) == 1
    assert len(computed) == 30 * 31 / 2 * (1 + flip)
    np.testing.assert_allclose(stored.diag(images), plain.diag(images), rtol=1e-12)


def test_smaller_depths_come_with_a_pass(images, tmp_path, counting):
    CNTK(7, memory=tmp_path, n_jobs=1, device=counting)(images)
    done = counting.total
    assert done == 30 * 31 / 2
    for depth in (6, 3, 2, 7):
        stored = CNTK(depth, memory=tmp_path, device=counting)(images)
        np.testing.assert_array_equal(stored, CNTK(depth)(images))
    cntk_path(images, depths=[2, 5], gap=[True], memory=tmp_path, device=counting)
    assert counting.total == done
    CNTK(8, memory=tmp_path, n_jobs=1, device=counting)(
        images
    )  # a deeper network needs a pass of its own
    assert counting.total == 2 * done


def test_pixels_are_what_counts(tmp_path, counting):
    images = np.random.default_rng(0).integers(0, 255, size=(6, 4, 4, 1), dtype=np.uint8)
    kernel = CNTK(3, image_shape=(4, 4), memory=tmp_path, n_jobs=1, device=counting)
    K = kernel(images)
    for same in (
        images.astype(float),
        images.reshape(6, 16),
        np.asfortranarray(images),
        images[..., 0],
    ):
        np.testing.assert_array_equal(kernel(same), K)
    assert counting.total == 21
    changed = images.copy()
    changed[0, 0, 0] ^= 1
    kernel(changed)
    assert counting.total == 21 + 6
    # The same bytes in another shape are other images, and so is another filter or precision.
    kernel.set_params(image_shape=(2, 8))(images.reshape(6, 16))
    CNTK(3, filter_size=1, memory=tmp_path, n_jobs=1, device=counting)(images)
    CNTK(3, dtype="float64", memory=tmp_path, n_jobs=1, device=counting)(images)
    assert counting.total == 21 + 6 + 3 * 21


def test_negative_zero_is_zero():
    a, b = np.zeros((1, 2, 2, 1)), -np.zeros((1, 2, 2, 1))
    assert digests(a) == digests(b)


def test_predicting_the_same_rows_again(images, tmp_path, counting):
    y = np.column_stack([images.sum(axis=(1, 2, 3)), images[:, 0, 0, 0]])
    model = CNTKRegressor(4, memory=tmp_path, normalize=True, n_jobs=1, device=counting).fit(
        images[:20], y[:20]
    )
    first = model.predict(images[20:])
    done = counting.total
    np.testing.assert_array_equal(model.predict(images[20:]), first)
    model.predict(images)
    assert counting.total == done  # training rows, and their diagonal, are known as well
    assert counting.most_often == 1
    without = clone(model).set_params(memory=None).fit(images[:20], y[:20])
    np.testing.assert_allclose(without.predict(images[20:]), first, rtol=1e-7)


def test_distinct_images():
    """Once each, in their order, and the place of every one of the array."""
    images = np.arange(20.0).reshape(5, 2, 2, 1)
    several = images[[3, 0, 3, 4, 0]]
    known = Distinct(several)
    assert known.shape == several.shape
    assert len(known) == 5
    np.testing.assert_array_equal(known.images, images[[3, 0, 4]])
    np.testing.assert_array_equal(known.images[known.places], several)
    assert known.ids == digests(images[[3, 0, 4]])
    once = Distinct(images)
    assert once.images is images  # no copy


@pytest.mark.parametrize("flip", [False, True])
def test_identified_images_serve_several_calls(images, tmp_path, counting, flip):
    """As those of training do in predictions by blocks; some occur twice."""
    job = CNTK(4, memory=tmp_path, device=counting, n_jobs=1)._job(images)
    training = np.concatenate([images[:12], images[:3]])
    known = Distinct(training)
    plain = CNTK(4, device="cpu")
    for start in (12, 18, 24):
        X = images[start : start + 6]
        (K,) = stored_gram(job, Distinct(X), known, lambda pairs: None, flip)
        mirrored = X[:, :, ::-1] if flip else X
        np.testing.assert_allclose(K, plain(mirrored, training), rtol=1e-6)
    (diagonal,) = stored_diagonals(job, known, lambda pairs: None, flip)
    if not flip:
        np.testing.assert_allclose(diagonal, plain.diag(training), rtol=1e-6)
    assert counting.most_often == 1


def test_images_of_y_are_identified_once(images, tmp_path, counting, monkeypatch):
    """However many blocks those of X come in."""
    hashed = []

    def recorded(images):
        hashed.append(len(images))
        return digests(images)

    monkeypatch.setattr("sklearn_cntk._compute.cached.digests", recorded)
    kernel = CNTK(4, memory=tmp_path, device=counting, n_jobs=1)
    job = replace(kernel._job(images), held=HeldValues(block=2 * 12, stored=4 * 12))
    heights = [values.shape[1] for _, values in job.blocks(images[12:], images[:12])]
    assert heights == 9 * [2]
    assert hashed == [12, 4, 4, 4, 4, 2]  # blocks by twos
