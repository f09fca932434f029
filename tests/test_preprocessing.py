"""Transformers of images."""

import numpy as np
import pytest
import sklearn
from scipy.linalg import fractional_matrix_power
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.preprocessing import ImageStandardizer, ZCAWhitening
from sklearn_cntk.preprocessing._whitening import centred_unit_rows


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([ImageStandardizer(), ZCAWhitening(), ZCAWhitening(reg_covar=1e-3)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def images(rng):
    return rng.random((30, 5, 4, 3)) * [1, 10, 100] + [0, 5, -7]


def test_channels_are_standardised(images):
    transformer = ImageStandardizer().fit(images)
    result = transformer.transform(images)
    assert result.shape == images.shape
    by_channel = StandardScaler().fit_transform(images.reshape(-1, 3))
    np.testing.assert_allclose(result.reshape(-1, 3), by_channel)
    one = transformer.transform(images[:1])
    np.testing.assert_array_equal(one, result[:1])


def test_constant_channel():
    images = np.full((4, 3, 3, 1), 0.1)
    np.testing.assert_allclose(ImageStandardizer().fit_transform(images), 0, atol=1e-15)


@pytest.mark.parametrize("transformer", [ImageStandardizer, ZCAWhitening])
def test_every_form_keeps_its_shape(transformer, images):
    expected = transformer().fit_transform(images)
    rows = transformer(image_shape=(5, 4, 3)).fit_transform(images.reshape(30, 60))
    assert rows.shape == (30, 60)
    np.testing.assert_array_equal(rows, expected.reshape(30, 60))
    grey = images[..., 0]
    assert transformer().fit_transform(grey).shape == (30, 5, 4)
    assert transformer().fit_transform((images * 2).astype(np.uint16)).dtype == np.float64
    with pytest.raises(ValueError, match="images of shape"):
        transformer().fit(images).transform(images[:, :4])


@pytest.mark.parametrize("transformer", [ImageStandardizer, ZCAWhitening])
def test_float32_images_stay_float32(transformer, images):
    """They are computed in float64, and only results are rounded."""
    single = images.astype(np.float32)
    fitted = transformer().fit(single)
    result = fitted.transform(single)
    assert result.dtype == np.float32
    expected = fitted.transform(single.astype(np.float64))
    assert expected.dtype == np.float64
    np.testing.assert_array_equal(result, expected.astype(np.float32))


def test_whitening_whitens():
    digits = load_digits().images
    white = ZCAWhitening(regularization=0).fit_transform(digits).reshape(-1, 64)
    spectrum = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    # Pixels that are the same in all digits, and the mean of an image, do not vary.
    assert ((abs(spectrum) < 1e-6) | (abs(spectrum - 1) < 1e-6)).all()
    assert (spectrum > 0.5).sum() > 55
    # Of all whitening matrices the symmetric one stays closest to the images.
    whitening = ZCAWhitening().fit(digits).whitening_
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-9)


def test_whitening_does_not_see_brightness_and_contrast(images):
    transformer = ZCAWhitening().fit(images)
    np.testing.assert_allclose(
        transformer.transform(3 * images + 50), transformer.transform(images), atol=1e-10
    )


def test_regularization(images):
    strong, weak = (ZCAWhitening(regularization=r).fit_transform(images) for r in (10.0, 0.1))
    assert np.linalg.norm(strong) < np.linalg.norm(weak)
    constant = ZCAWhitening().fit_transform(np.ones((3, 4, 4)))
    np.testing.assert_array_equal(constant, 0)
    for bad in (-1, np.nan, np.inf, "0.1", True):
        for name in ("regularization", "reg_covar"):
            with pytest.raises(ValueError, match=f"{name}=.* should be a finite number of 0 or"):
                ZCAWhitening(**{name: bad}).fit(images)


@pytest.mark.parametrize("added", [1e-5, 1e-3, 0.5])
def test_absolute_regularization(added, images):
    """A number that is added to the eigenvalues, whatever these are."""
    rows = (images - images.mean(axis=(1, 2, 3), keepdims=True)).reshape(30, 60)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    covariance = np.cov(rows.T, bias=True)
    transformer = ZCAWhitening(reg_covar=added, regularization=3).fit(images)
    expected = fractional_matrix_power(covariance + added * np.eye(60), -0.5)
    np.testing.assert_allclose(transformer.whitening_, expected, rtol=1e-7, atol=1e-7)
    trace = 1 - np.linalg.norm(transformer.mean_) ** 2  # as the docstring says
    np.testing.assert_allclose(np.trace(covariance), trace)
    share = ZCAWhitening(regularization=added * 60 / trace).fit(images)
    np.testing.assert_allclose(share.whitening_, transformer.whitening_, rtol=1e-9, atol=1e-9)
    singular = ZCAWhitening(reg_covar=0).fit(images)
    np.testing.assert_array_equal(
        singular.whitening_, ZCAWhitening(regularization=0).fit(images).whitening_
    )


def test_whitening_makes_equal_images_zero(rng):
    equal = np.repeat(rng.random((1, 5, 4, 3)), 7, axis=0)
    np.testing.assert_allclose(ZCAWhitening().fit_transform(equal), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_whitening_makes_constant_images_zero(shape, rng):
    """Whatever the grey level: what centring leaves of it is rounding."""
    grey = np.arange(256) / 255
    constant = np.broadcast_to(grey[:, None, None, None], (256, *shape))
    np.testing.assert_array_equal(centred_unit_rows(constant), 0)
    # An image that varies by little is no constant one.
    faint = centred_unit_rows(constant + 1e-6 * rng.random((256, *shape)))
    np.testing.assert_allclose(np.linalg.norm(faint, axis=1), 1)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_whitening_at_any_scale(factor, images):
    np.testing.assert_allclose(
        ZCAWhitening().fit_transform(factor * images), ZCAWhitening().fit_transform(images)
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("cls", [ImageStandardizer, ZCAWhitening])
def test_tables_are_of_rows(library, cls, rng):
    """Where scikit-learn is told to return tables: images stay arrays, also in a pipeline."""
    module = pytest.importorskip(library, reason=f"tables are {library}'")
    images, y = rng.normal(size=(12, 4, 4, 1)), np.arange(12) % 2
    rows = images.reshape(12, 16)
    expected = cls().fit_transform(images)
    with sklearn.config_context(transform_output=library):
        for X in (images, images[..., 0]):
            values = cls().fit(X).transform(X)
            assert type(values) is np.ndarray
            np.testing.assert_array_equal(values, expected.reshape(X.shape))
            assert type(cls().fit_transform(X)) is np.ndarray
        table = cls(image_shape=(4, 4)).fit_transform(rows)
        assert isinstance(table, module.DataFrame)
        np.testing.assert_array_equal(table.to_numpy(), expected.reshape(12, 16))
        model = make_pipeline(cls(), CNTKClassifier(3, gap=False)).fit(images, y)
        assert model.predict(images).shape == (12,)
    table = cls(image_shape=(4, 4)).set_output(transform=library).fit(rows).transform(rows)
    assert isinstance(table, module.DataFrame)
    assert list(table.columns) == [f"x{k}" for k in range(16)]


@pytest.mark.parametrize("cls", [ImageStandardizer, ZCAWhitening])
@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300, 1e307])
def test_units_do_not_matter(cls, unit, rng):
    """Not even where squares or sums leave the range of float64."""
    images = rng.normal(size=(20, 6, 5, 2)) + [0, 3]
    np.testing.assert_allclose(
        cls().fit_transform(images * unit), cls().fit_transform(images), rtol=1e-9, atol=1e-12
    )


def test_constant_channels_keep_their_scale(rng):
    """Whatever rounding makes of their mean."""
    images = rng.random((999, 7, 7, 3))
    images[..., 1] = 0.1
    transformer = ImageStandardizer().fit(images)
    assert transformer.scale_[1] == 1
    assert transformer.mean_[1] == 0.1
    assert not transformer.transform(images)[..., 1].any()
