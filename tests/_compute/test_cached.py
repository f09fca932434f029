"""`memory`: every pair of images computed once, whoever asks, however often and in what order."""

import numpy as np
import pytest
from counting_engine import as_without, kernels
from sklearn.base import clone

import sklearn_cntk._compute.job
from sklearn_cntk import CNTK, CNTKRegressor, cntk_path
from sklearn_cntk._compute.cached import Distinct, stored_diagonals, stored_gram
from sklearn_cntk._store.entries import digests


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_overlapping_requests(images, tmp_path, counting, flip, normalize):
    """Any rows in any order, rectangles, repeated images: values as without memory, pairs once."""
    stored, plain = kernels(tmp_path, flip=flip, normalize=normalize, dtype="float64")
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
        np.testing.assert_allclose(stored(X, Y), as_without(plain, X, Y), rtol=1e-12, atol=1e-15)
    computed = {key: n for key, n in counting.pairs_computed.items() if "diagonal" not in key}
    assert max(computed.values()) == 1
    assert len(computed) == 30 * 31 / 2 * (1 + flip) or flip  # flipped images have names as well
    np.testing.assert_allclose(stored.diag(images), as_without(plain, images, "diag"), rtol=1e-12)


def test_smaller_depths_come_with_a_pass(images, tmp_path, counting):
    CNTK(7, memory=tmp_path, n_jobs=1)(images)
    done = counting.total
    assert done == 30 * 31 / 2
    for depth in (6, 3, 2, 7):
        stored = CNTK(depth, memory=tmp_path)(images)
        np.testing.assert_array_equal(stored, as_without(CNTK(depth), images, None))
    cntk_path(images, depths=[2, 5], gap=[True], memory=tmp_path)
    assert counting.total == done
    CNTK(8, memory=tmp_path, n_jobs=1)(images)  # a deeper network needs a pass of its own
    assert counting.total == 2 * done


def test_pixels_are_what_counts(tmp_path, counting):
    images = np.random.default_rng(0).integers(0, 255, size=(6, 4, 4, 1), dtype=np.uint8)
    kernel = CNTK(3, image_shape=(4, 4), memory=tmp_path, n_jobs=1)
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
    CNTK(3, filter_size=1, memory=tmp_path, n_jobs=1)(images)
    CNTK(3, dtype="float64", memory=tmp_path, n_jobs=1)(images)
    assert counting.total == 21 + 6 + 3 * 21


def test_negative_zero_is_zero():
    a, b = np.zeros((1, 2, 2, 1)), -np.zeros((1, 2, 2, 1))
    assert digests(a) == digests(b)


def test_predicting_the_same_rows_again(images, tmp_path, counting):
    y = np.column_stack([images.sum(axis=(1, 2, 3)), images[:, 0, 0, 0]])
    model = CNTKRegressor(4, memory=tmp_path, normalize=True, n_jobs=1).fit(images[:20], y[:20])
    first = model.predict(images[20:])
    done = counting.total
    np.testing.assert_array_equal(model.predict(images[20:]), first)
    model.predict(images)
    assert counting.total == done  # training rows, and their diagonal, are known as well
    assert counting.most_often == 1
    without = clone(model).set_params(memory=None).fit(images[:20], y[:20])
    np.testing.assert_allclose(without.predict(images[20:]), first, rtol=1e-7)


def test_images_identified_once(images, tmp_path, counting, monkeypatch):
    """What predictions by blocks share; images that occur twice, and mirrored ones, included."""
    stored, plain = kernels(tmp_path, flip=True)
    job = stored._job(images)
    training = np.concatenate([images[:12], images[:3]])
    hashed = []

    def digests_of(images):
        hashed.append(len(images))
        return digests(images)

    monkeypatch.setattr(sklearn_cntk._compute.cached, "digests", digests_of)
    known = Distinct(training)
    options = {"advance": lambda pairs: None, **job._options()}
    for start in (12, 18, 24):
        X = images[start : start + 6]
        K = sum(
            stored_gram(X, known, symmetric=False, flip=flip, space=job._space(flip), **options)
            for flip in (False, True)
        )
        np.testing.assert_allclose(K[0] / 2, as_without(plain, X, training), rtol=1e-6)
    assert hashed.count(15) == 1
    diagonals = sum(
        stored_diagonals(known, flip=flip, space=job._space(flip), **options)
        for flip in (False, True)
    )
    np.testing.assert_allclose(diagonals[0] / 2, as_without(plain, training, "diag"), rtol=1e-6)
    assert hashed.count(15) == 1
    assert known.shape == training.shape
    assert len(known) == 15
