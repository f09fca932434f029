"""Features of random image patches."""

import pickle
from itertools import product

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk.preprocessing import PatchFeatures, _patch_maps, _patches


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([PatchFeatures(4, patch_size=1, pool_size=1)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def images(rng):
    """Of neighbouring pixels that are alike."""
    return rng.normal(size=(7, 9, 8, 3)).cumsum(axis=1).cumsum(axis=2)


# --- By loops -----------------------------------------------------------------------------------


def patches_of(image, height, width):
    """All whole patches of an image as vectors of mean 0 and norm 1, by their place."""
    rows, columns, _ = image.shape
    found = {}
    for i, j in product(range(rows - height + 1), range(columns - width + 1)):
        patch = np.array([v for row in image[i : i + height] for v in row[j : j + width].ravel()])
        patch = patch - sum(patch) / len(patch)
        found[i, j] = patch / np.sqrt(sum(patch**2))
    return found


def whitening_of(images, height, width, regularization):
    """Mean and whitening matrix of all patches of the images."""
    patches = np.array([p for image in images for p in patches_of(image, height, width).values()])
    mean = sum(patches) / len(patches)
    C = sum(np.outer(p - mean, p - mean) for p in patches) / len(patches)
    added = regularization * np.trace(C) / len(C)
    return mean, fractional_matrix_power(C + added * np.eye(len(C)), -0.5)


def maps_by_loops(image, filters, mean, whitening, bias, pool, steps):
    n_filters, height, width, _ = filters.shape
    rows, columns = image.shape[0] - height + 1, image.shape[1] - width + 1
    tops = range(0, rows - pool[0] + 1, steps[0])
    lefts = range(0, columns - pool[1] + 1, steps[1])
    patches = patches_of(image, height, width)
    maps = np.zeros((len(tops), len(lefts), 2 * n_filters))
    for (p, top), (q, left), k in product(enumerate(tops), enumerate(lefts), range(n_filters)):
        for i, j in product(range(top, top + pool[0]), range(left, left + pool[1])):
            z = filters[k].ravel() @ (whitening @ (patches[i, j] - mean))
            maps[p, q, k] += max(z - bias, 0) / (pool[0] * pool[1])
            maps[p, q, n_filters + k] += max(-z - bias, 0) / (pool[0] * pool[1])
    return maps


@pytest.mark.parametrize(
    ("patch", "pool", "strides", "bias", "shape"),
    [
        (3, 2, None, 0.5, (3, 3)),
        (2, 3, None, 0, (2, 2)),
        ((4, 2), (2, 3), 1, 0.25, (5, 5)),
        (3, (1, 2), (3, 4), 1.5, (3, 2)),  # windows with gaps between them
        ([5, 1], 5, (2, 1), 0.1, (1, 4)),
        (2, (8, 7), 9, 0.5, (1, 1)),
    ],
)
def test_maps_are_those_of_loops(patch, pool, strides, bias, shape, images):
    features = PatchFeatures(
        5, patch, pool_size=pool, strides=strides, bias=bias, regularization=0.05, random_state=0
    )
    result = features.fit_transform(images)
    assert result.shape == (7, *shape, 10)
    assert features.output_shape_ == (*shape, 10)
    pool, strides = (size if np.iterable(size) else (size, size) for size in (pool, strides))
    steps = pool if strides == (None, None) else strides
    mean, whitening = whitening_of(images, *features.filters_.shape[1:3], 0.05)
    for image, maps in zip(images, result, strict=True):
        expected = maps_by_loops(image, features.filters_, mean, whitening, bias, pool, steps)
        np.testing.assert_allclose(maps, expected, rtol=1e-9, atol=1e-9)


def test_filters_are_whitened_patches_of_the_images(images):
    features = PatchFeatures(20, (3, 2), pool_size=1, regularization=0.05, random_state=1)
    filters = features.fit(images).filters_.reshape(20, 18)
    mean, whitening = whitening_of(images, 3, 2, 0.05)
    np.testing.assert_allclose(features.mean_, mean, atol=1e-12)
    np.testing.assert_allclose(features.whitening_, whitening, rtol=1e-8)
    candidates = [
        whitening @ (patch - mean) for image in images for patch in patches_of(image, 3, 2).values()
    ]
    candidates = np.array([patch / np.linalg.norm(patch) for patch in candidates])
    distances = np.linalg.norm(filters[:, None] - candidates, axis=2)
    np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-10)
    assert len(set(distances.argmin(axis=1))) == 20  # of 7 * 7 * 7: none is drawn twice


def test_every_patch_may_be_drawn(images):
    """As a draw without replacement of all of them shows."""
    features = PatchFeatures(7 * 4 * 3, 6, pool_size=1, random_state=0).fit(images)
    _, counts = np.unique(features.filters_.round(9), axis=0, return_counts=True)
    assert len(counts) == 7 * 4 * 3
    with pytest.raises(ValueError, match=r"n_patches=85 .* n_samples=7 images of 12 .* have 84"):
        PatchFeatures(85, 6, pool_size=1).fit(images)


# --- What is known beforehand -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_brightness_and_contrast_do_not_matter(dtype, images):
    features = PatchFeatures(6, 3, pool_size=2, random_state=0).fit(images)
    expected = features.transform(images)
    changed = np.linspace(0.5, 4, 7).reshape(7, 1, 1, 1) * images + 5
    result = features.transform(changed.astype(dtype))
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e3 * np.finfo(dtype).eps)
    # Nor do those of a patch beside another one.
    features = PatchFeatures(6, 3, pool_size=1, strides=3, random_state=0).fit(images)
    first = images[:, :3, :3]
    pair = np.concatenate([first, 9 * first - 1, *[first] * 2], axis=2)[:, :, :8]
    maps = features.transform(np.concatenate([pair] * 3, axis=1))
    np.testing.assert_allclose(maps[:, :, 0], maps[:, :, 1], atol=1e-12)


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
def test_units_do_not_matter(unit, images):
    """Not even where squares or sums leave the range of float64."""
    features = PatchFeatures(6, 3, pool_size=2, random_state=0)
    expected = features.fit_transform(images)
    np.testing.assert_allclose(features.fit_transform(images * unit), expected, atol=1e-12)


def test_shifted_images_have_shifted_maps(images):
    features = PatchFeatures(6, 3, pool_size=2, strides=1, random_state=0).fit(images)
    maps = features.transform(images)
    shifted = features.transform(np.roll(images, (2, 1), axis=(1, 2)))
    np.testing.assert_allclose(shifted[:, 2:, 1:], maps[:, :-2, :-1], atol=1e-12)


@pytest.mark.parametrize("regularization", [0, 0.3])
def test_whitening_whitens_patches(regularization, images):
    features = PatchFeatures(1, 3, pool_size=1, regularization=regularization, random_state=0)
    features.fit(images)
    patches = np.array([p for image in images for p in patches_of(image, 3, 3).values()])
    before = np.linalg.eigvalsh(np.cov(patches.T, bias=True))
    white = (patches - features.mean_) @ features.whitening_
    after = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    # The mean of a patch is gone: one eigenvalue of 0.
    expected = before[1:] / (before[1:] + regularization * before.mean())
    np.testing.assert_allclose(after, [0, *expected], atol=1e-8)


def test_constant_patches_have_no_features(images):
    features = PatchFeatures(6, 3, pool_size=1, bias=0, random_state=0)
    images[:, :5] = np.arange(1, 8).reshape(7, 1, 1, 1) / 10
    maps = features.fit_transform(images)
    assert not maps[:, :3].any()
    assert (np.abs(maps[:, 3:]).sum(axis=(1, 2, 3)) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(features.filters_.reshape(6, -1), axis=1), 1)
    # Of the 7 * 7 * 6 patches 7 * 4 * 6 have several values: where more are asked for, 0.
    filters = PatchFeatures(200, 3, pool_size=1, random_state=0).fit(images).filters_
    assert filters.any(axis=(1, 2, 3)).sum() == 168
    assert not features.fit_transform(np.ones((3, 4, 4))).any()


def test_equal_images_have_finite_maps():
    """Of one patch, and nothing that varies between images."""
    images = np.repeat(np.random.default_rng(0).random((1, 4, 4, 2)), 3, axis=0)
    maps = PatchFeatures(3, 4, pool_size=1, bias=0, random_state=0).fit_transform(images)
    np.testing.assert_allclose(maps, 0, atol=1e-6)


# --- Blocks, dtypes, forms ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_do_not_matter(dtype, images, monkeypatch):
    features = PatchFeatures(40, 3, pool_size=3, strides=2, random_state=0).fit(images)
    expected = features.transform(images.astype(dtype))
    for size in (1, 30_000, 10**9):
        monkeypatch.setattr(_patch_maps, "_BLOCK", size)
        np.testing.assert_array_equal(features.transform(images.astype(dtype)), expected)
    np.testing.assert_array_equal(features.transform(images[3:4].astype(dtype)), expected[3:4])


def test_dtypes(images):
    features = PatchFeatures(6, 3, pool_size=2, random_state=0).fit(images)
    single = features.transform(images.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, features.transform(images), atol=1e-5)
    pixels = (images * 9 % 256).astype(np.uint8)
    np.testing.assert_array_equal(features.transform(pixels), features.transform(pixels + 0.0))
    assert features.transform(pixels).dtype == np.float64


def test_rows_stay_rows(images):
    features = PatchFeatures(6, 3, pool_size=2, random_state=0)
    maps = features.fit_transform(images)
    rows = images.reshape(7, -1)
    features.set_params(image_shape=(9, 8, 3))
    np.testing.assert_array_equal(features.fit_transform(rows), maps.reshape(7, -1))
    kernel = CNTK(3, image_shape=features.output_shape_)
    np.testing.assert_array_equal(kernel(features.transform(rows)), CNTK(3)(maps))
    names = features.get_feature_names_out()
    assert list(names[:2]) == ["patchfeatures0", "patchfeatures1"]
    assert len(names) == 3 * 3 * 12
    pytest.importorskip("pandas", reason="tables are pandas'")
    features.set_output(transform="pandas")
    table = features.transform(rows)
    assert list(table.columns) == list(names)
    np.testing.assert_array_equal(table.to_numpy(), maps.reshape(7, -1))
    assert type(features.transform(images)) is np.ndarray
    grey = PatchFeatures(6, 3, pool_size=2, random_state=0)
    np.testing.assert_array_equal(
        grey.fit_transform(images[..., 0]), grey.fit_transform(images[..., :1])
    )


def test_signals(rng):
    """Patches of signals have one row, and those of images of one column one column."""
    signals = rng.normal(size=(8, 30)).cumsum(axis=1)
    features = PatchFeatures(5, image_shape=(30,), random_state=0)
    maps = features.fit_transform(signals)
    assert features.output_shape_ == (1, 2, 10)
    both = PatchFeatures(5, (1, 6), pool_size=(1, 9), random_state=0)
    np.testing.assert_array_equal(both.fit_transform(signals[:, None]).reshape(8, -1), maps)
    columns = PatchFeatures(5, random_state=0).fit_transform(signals[:, :, None])
    assert columns.shape == (8, 2, 1, 10)
    np.testing.assert_allclose(columns.reshape(8, -1), maps, atol=1e-12)


# --- As an estimator ----------------------------------------------------------------------------


def test_random_state(images):
    features = PatchFeatures(6, 3, pool_size=2, random_state=0)
    maps = features.fit_transform(images)
    np.testing.assert_array_equal(clone(features).fit_transform(images), maps)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(features)).transform(images), maps)
    more = PatchFeatures(9, 3, pool_size=2, random_state=0).fit(images)
    np.testing.assert_allclose(more.filters_[:6], features.filters_, atol=1e-12)
    other = PatchFeatures(6, 3, pool_size=2, random_state=1).fit(images)
    assert not np.allclose(other.filters_, features.filters_)
    generator = np.random.RandomState(0)
    same = PatchFeatures(6, 3, pool_size=2, random_state=generator).fit(images)
    np.testing.assert_array_equal(same.filters_, features.filters_)


def test_samples_are_bounded(images, monkeypatch):
    monkeypatch.setattr(_patches, "_SAMPLE", 50)
    features = PatchFeatures(6, 3, pool_size=2, random_state=0).fit(images)
    whole, _ = whitening_of(images, 3, 3, 0.1)
    assert 0 < np.abs(features.mean_ - whole).max() < 0.2
    assert PatchFeatures(60, 3, pool_size=2).fit(images).filters_.any(axis=(1, 2, 3)).all()


def test_pipeline_and_grid_search():
    digits = load_digits()
    images, labels = digits.images[:300], digits.target[:300]
    features = PatchFeatures(patch_size=3, pool_size=3, random_state=0)
    model = make_pipeline(features, CNTKClassifier(depth=3))
    grid = {"patchfeatures__n_patches": [2, 64]}
    search = GridSearchCV(model, grid, cv=3).fit(images, labels)
    assert search.best_params_ == {"patchfeatures__n_patches": 64}
    few, many = search.cv_results_["mean_test_score"]
    assert many > max(0.95, few)
    assert search.best_estimator_[0].output_shape_ == (2, 2, 128)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_patches": 0}, ValueError, "n_patches=0 is too small: use 1 or more patches"),
        ({"n_patches": 2.5}, TypeError, "n_patches must be an integer, got 2.5"),
        ({"bias": -0.1}, ValueError, "bias=-0.1 should be a finite number of 0 or more"),
        ({"bias": np.nan}, ValueError, "bias=nan should be a finite number"),
        ({"regularization": -1}, ValueError, "regularization=-1 should be a finite number"),
        ({"patch_size": 10}, ValueError, r"patch_size=10 .* of 9 × 8 .* up to \(9, 8\)\."),
        ({"patch_size": (2, 9)}, ValueError, r"patch_size=\(2, 9\) is larger than images"),
        ({"patch_size": (2, 2, 3)}, ValueError, r"patch_size=\(2, 2, 3\) must be .* pair"),
        ({"patch_size": "6"}, TypeError, "patch_size must be an integer, got '6'"),
        ({"pool_size": 7}, ValueError, r"pool_size=7 .* of 7 × 6 patches: use up to \(7, 6\)"),
        ({"pool_size": (0, 1)}, ValueError, "pool_size=0 is too small: use 1 or more"),
        ({"strides": 0}, ValueError, "strides=0 is too small: use 1 or more"),
        ({"random_state": "seed"}, ValueError, "cannot be used to seed"),
        ({"image_shape": (9, 9)}, ValueError, "image_shape="),
    ],
)
def test_errors_of_parameters(params, error, message, images):
    features = PatchFeatures(4, 3, pool_size=2).set_params(**params)
    with pytest.raises(error, match=message):
        features.fit(images)


def test_errors_of_images(images, free_memory):
    features = PatchFeatures(4, 3, pool_size=2)
    with pytest.raises(ValueError, match=r"1 × 1 pixels: .*, or set image_shape if rows"):
        features.fit(images.reshape(7, -1))
    with pytest.raises(ValueError, match="patch_size=1 makes patches of one number"):
        PatchFeatures(4, 1, pool_size=2).fit(images[..., 0])
    with pytest.raises(ValueError, match="NaN"):
        features.fit(np.where(images > 0, images, np.nan))
    with pytest.raises(ValueError, match="images of shape"):
        features.fit(images).transform(images[:, 1:])
    free_memory(1000)
    with pytest.raises(MemoryError, match="72 features of 7 images needs .* a larger pool_size"):
        features.transform(images)
