"""Arrays that are accepted as images."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, cntk_path
from sklearn_cntk.preprocessing import ImageStandardizer


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


def test_arrays_that_know_dlpack_alone(rng):
    images, labels = rng.normal(size=(6, 4, 4)), np.arange(6) % 2

    class Exchanged:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    model = CNTKClassifier(3).fit(Exchanged(images), Exchanged(labels))
    expected = CNTKClassifier(3).fit(images, labels)
    np.testing.assert_array_equal(
        model.decision_function(Exchanged(images)), expected.decision_function(images)
    )
    np.testing.assert_array_equal(CNTK(3)(Exchanged(images)), CNTK(3)(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_come_first(channels, rng):
    """As PyTorch has them: they are images of few rows, of which nobody would see that."""
    X, y = normal(rng, 6, (channels, 9, 9)), np.arange(6) % 2
    moved = np.moveaxis(X, 1, -1)
    message = rf"X has shape \(6, {channels}, 9, 9\), .* {channels} × 9 pixels with 9 channels.*"
    message += r"np.moveaxis\(X, 1, -1\); if not, set image_shape="
    uses = [
        lambda images, **options: CNTK(3, gap=False, **options)(images),
        lambda images, **options: CNTKClassifier(3, gap=False, **options).fit(images, y),
        lambda images, **options: cntk_path(images, depths=[2], gap=[False], **options),
    ]
    for use in uses:
        with pytest.warns(UserWarning, match=message):
            use(X)
        use(moved)  # warnings are errors here
        use(X[..., :7])
        use(X, image_shape=(channels, 9, 9))
    with pytest.warns(UserWarning, match=message):
        ImageStandardizer().fit(X)
    for maps in ((channels, 3, 512), (channels, 9, 64)):  # no images have such sides
        ImageStandardizer().fit(normal(rng, 6, maps))


def test_one_warning_a_call(rng):
    X, y = normal(rng, 10, (3, 9, 9)), np.arange(10) % 2
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = CNTKClassifier(3, gap=False).fit(X, y)
    assert len(found) == 1
    assert len(model.predict(X)) == 10  # fit has said it


def test_arrays_as_objects(rng):
    """As columns of tables hold them."""
    pandas = pytest.importorskip("pandas", reason="tables are pandas'")
    images = list(normal(rng, 3, (4, 4)))
    column = np.empty(3, dtype=object)
    column[:] = images
    table = pandas.DataFrame({"image": images})
    for X in (column, table, table["image"], column[:, None]):
        with pytest.raises(ValueError, match=r"X holds arrays as objects.*np.stack\(column\)"):
            CNTK(3)(X)
    assert CNTK(3)(np.stack(table["image"])).shape == (3, 3)


def test_images_of_several_shapes(rng):
    """As files in a folder are, in a list, a tuple, or an array of objects."""
    unequal = [rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))]
    column = np.empty(3, dtype=object)
    column[:] = unequal
    for X in (unequal, tuple(unequal), column):
        with pytest.raises(ValueError, match=r"of 2 shapes, such as \(4, 4\) and \(3, 4\): resize"):
            CNTKClassifier(3).fit(X, [0, 1, 0])
    with pytest.raises(ValueError, match=r"such as \(4, 4\) and \(4, 4, 3\): resize"):
        ImageStandardizer().fit([unequal[0], rng.normal(size=(4, 4, 3))])
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\): rows need the same number of"):
        CNTK(3)([np.ones(3), np.ones(4)])
    np.testing.assert_array_equal(CNTK(3)(unequal[:2]), CNTK(3)(np.stack(unequal[:2])))


def test_pictures(rng):
    """Pillow's, whose sizes are given as (width, height)."""
    Image = pytest.importorskip("PIL.Image", reason="pictures are Pillow's")
    pixels = rng.integers(0, 256, size=(3, 4, 5)).astype(np.uint8)
    pictures = [Image.fromarray(image) for image in pixels]
    labels = [0, 1, 0]
    model = CNTKClassifier(3, gap=False).fit(pictures, labels)
    expected = CNTKClassifier(3, gap=False).fit(pixels, labels)
    np.testing.assert_array_equal(
        model.decision_function(pictures), expected.decision_function(pixels)
    )
    with pytest.raises(ValueError, match=r"such as \(4, 5\) and \(8, 8\): resize"):
        model.predict([pictures[0], pictures[1].resize((8, 8))])


def test_names_of_files():
    column = np.array([["one.png"], ["two.png"]], dtype=object)
    names = ["one.png", "two.png"]
    for X in (names, [Path("one.png")], np.array(names), column):
        for images in (X, X[:1]):
            with pytest.raises(ValueError, match=r"X holds file names such as 'one.png': read"):
                CNTK(3)(images)
    with pytest.raises(ValueError, match="could not convert string to float: 'red'"):
        CNTK(3)(np.array([["red"], ["blue"]], dtype=object))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 1)])
def test_a_single_image_is_no_array_of_them(shape, rng):
    X, y = normal(rng, 6, shape), np.arange(6) % 2
    model = CNTKClassifier(3, gap=False).fit(X, y)
    with pytest.raises(ValueError, match="that of a single image: use image.None."):
        model.predict(X[0])
    assert model.predict(X[0][None]) == model.predict(X)[0]


def test_shapes_of_one_and_of_several_images(rng):
    """Five images of 5 × 5 pixels look like an image of 5 × 5 pixels and 5 channels."""
    X, y = normal(rng, 5, (5, 5)), np.arange(5) % 2
    model = CNTKClassifier(3, gap=False).fit(X, y)
    assert len(model.predict(X)) == 5
    rows = CNTKClassifier(3).fit(X[0], y)  # five rows of five features
    assert len(rows.predict(X[1])) == 5


@pytest.mark.parametrize("channels", [1, 2])
def test_one_signal_at_a_time(channels, rng):
    """Whose array has the shape of an image of one row."""
    X, y = normal(rng, 6, (9, channels)), np.arange(6) % 2
    model = CNTKClassifier(3, gap=False, image_shape=(1, 9, channels)).fit(X, y)
    for signals in (X, X.reshape(6, -1)):
        np.testing.assert_array_equal(model.predict(signals[:1]), model.predict(signals)[:1])


def test_nan_that_scikit_learn_lets_through(rng):
    X = normal(rng, 4, (4, 4))
    X[1, 2, 2] = np.nan
    with (
        sklearn.config_context(assume_finite=True),
        pytest.raises(ValueError, match="images contain NaN, which .*assume_finite=True let thr"),
    ):
        CNTK(3, gap=False)(X)
