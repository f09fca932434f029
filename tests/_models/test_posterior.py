"""Standard deviations: against scikit-learn's Gaussian processes, and by Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest
from double_precision import IMAGES, INK, TEST, N, matrices, small
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from sklearn_cntk import CNTK, CNTKRegressor, CNTKRegressorCV
from sklearn_cntk._compute.job import HeldValues


@pytest.mark.parametrize("weights", [None, 1 + np.arange(N) % 4])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_nngp_posterior_is_scikit_learns(alpha, weights):
    K, _, unit = matrices("last")
    if weights is not None:
        unit = np.average(K.diagonal(), weights=weights)
    noise = alpha * unit / (1 if weights is None else weights)
    kernel = CNTK(3, False, dtype="float64", trained_layers="last", image_shape=(8, 8))
    process = GaussianProcessRegressor(kernel=kernel, alpha=noise, optimizer=None)
    process.fit(IMAGES.reshape(N, 64), INK)
    mean, cov = process.predict(TEST.reshape(N, 64), return_cov=True)
    model = small(CNTKRegressor, trained_layers="last", alpha=alpha, fit_intercept=False)
    model.fit(IMAGES, INK, sample_weight=weights)
    variance = likeliest_scale(K, INK, alpha, weights)
    predicted, spread = model.predict(TEST, return_cov=True)
    np.testing.assert_allclose(predicted, mean, rtol=1e-6)
    np.testing.assert_allclose(spread, variance * cov, rtol=1e-6, atol=1e-9 * variance)
    _, std = model.predict(TEST, return_std=True)
    np.testing.assert_allclose(std, np.sqrt(spread.diagonal()), rtol=1e-6)


def likeliest_scale(K, targets, alpha, weights=None):
    """s² of targets without noise of their own: rows with a weight of w are given w times."""
    rows = np.arange(len(K)) if weights is None else np.repeat(np.arange(len(K)), weights)
    K, targets = K[np.ix_(rows, rows)], targets[rows]
    K = K + alpha * K.diagonal().mean() * np.eye(len(K))

    def loss(log_scale):
        return -multivariate_normal.logpdf(targets, cov=np.exp(log_scale) * K)

    return np.exp(minimize_scalar(loss, bracket=(-8, 0), tol=1e-12).x)


def test_scale_is_that_of_scikit_learns_optimizer():
    """A constant in front of kernel and noise, as Gaussian processes fit it."""
    K, _, unit = matrices("last")
    kernel = CNTK(3, False, dtype="float64", trained_layers="last", image_shape=(8, 8))
    whole = ConstantKernel(1.0, (1e-9, 1e9)) * (kernel + WhiteKernel(0.1 * unit, "fixed"))
    centred = INK - INK.mean()
    process = GaussianProcessRegressor(kernel=whole, alpha=0).fit(IMAGES.reshape(N, 64), centred)
    constant = process.kernel_.k1.constant_value
    assert constant == pytest.approx(likeliest_scale(K, centred, 0.1), rel=1e-4)
    model = small(CNTKRegressor, trained_layers="last", alpha=0.1).fit(IMAGES, INK)
    _, cov = model.predict(TEST, return_cov=True)
    _, expected = process.predict(TEST.reshape(N, 64), return_cov=True)
    expected -= constant * 0.1 * unit * np.eye(N)  # with noise, as scikit-learn has it
    np.testing.assert_allclose(cov, expected, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("time", [None, 2.0])
def test_spread_of_trained_networks(trained_layers, time, rng):
    """By drawing initial functions from the NNGP prior, and training each by gradient flow."""
    if trained_layers == "last" and time is None:
        pytest.skip("this is exact inference, tested against GaussianProcessRegressor")
    both = np.concatenate([IMAGES, TEST])
    prior = CNTK(3, False, dtype="float64", trained_layers="last")(both)
    draws = rng.multivariate_normal(np.zeros(2 * N), prior, size=4000, method="eigh").T
    draws *= np.sqrt(likeliest_scale(prior[:N, :N], INK - INK.mean(), 1e-3))
    model = small(CNTKRegressor, trained_layers=trained_layers, alpha=1e-3, training_time=time)
    # What is learned is the difference from where the network starts.
    model.set_params(fit_intercept=False).fit(IMAGES, (INK - INK.mean())[:, None] - draws[:N])
    trained = INK.mean() + draws[N:] + model.predict(TEST)
    model.set_params(fit_intercept=True).fit(IMAGES, INK)
    mean, std = model.predict(TEST, return_std=True)
    np.testing.assert_allclose(trained.std(axis=1), std, rtol=4 / np.sqrt(2 * 4000))
    assert (abs(trained.mean(axis=1) - mean) < 4.5 * std / np.sqrt(4000)).all()


def test_nothing_varies_at_training_images_after_training():
    model = small(CNTKRegressor, alpha=0).fit(IMAGES, INK)
    _, at_training = model.predict(IMAGES, return_std=True)
    _, elsewhere = model.predict(TEST, return_std=True)
    assert at_training.max() < 1e-3 * elsewhere.min()


@pytest.mark.parametrize("trained_layers", ["all", "last"])
def test_several_targets(trained_layers):
    """Each in its own unit, as alone."""
    model = small(CNTKRegressor, trained_layers=trained_layers)
    both = np.column_stack([INK, 1000 * INK**2])
    mean, std = model.fit(IMAGES, both).predict(TEST, return_std=True)
    _, cov = model.predict(TEST, return_cov=True)
    assert mean.shape == std.shape == (N, 2)
    assert cov.shape == (N, N, 2)
    assert model.sample_y(TEST, 3).shape == (N, 2, 3)
    for k in range(2):
        alone = small(CNTKRegressor, trained_layers=trained_layers).fit(IMAGES, both[:, k])
        np.testing.assert_allclose(alone.predict(TEST, return_std=True)[1], std[:, k], rtol=1e-6)
        np.testing.assert_allclose(np.sqrt(cov[..., k].diagonal()), std[:, k], rtol=1e-6)


@pytest.mark.parametrize("trained_layers", ["all", "last"])
@pytest.mark.parametrize("time", [None, 2.0])
def test_unit_of_the_targets(trained_layers, time):
    """Standard deviations grow with the targets, and do not depend on their mean."""
    model = small(CNTKRegressor, trained_layers=trained_layers, training_time=time)
    _, std = model.fit(IMAGES, INK).predict(TEST, return_std=True)
    _, other = model.fit(IMAGES, 100 - 1000 * INK).predict(TEST, return_std=True)
    np.testing.assert_allclose(other, 1000 * std, rtol=1e-6)
    _, cov = model.predict(TEST, return_cov=True)
    np.testing.assert_allclose(np.sqrt(cov.diagonal()), other, rtol=1e-5)


def test_samples():
    """Their mean and covariance are those of the prediction."""
    model = small(CNTKRegressor, alpha=1e-2).fit(IMAGES, INK)
    mean, cov = model.predict(TEST, return_cov=True)
    samples = model.sample_y(TEST, 20_000, random_state=1)
    assert samples.shape == (N, 20_000)
    std = np.sqrt(cov.diagonal())
    assert (abs(samples.mean(axis=1) - mean) < 4.5 * std / np.sqrt(20_000)).all()
    error = np.cov(samples) - cov
    assert (abs(error) < 6 * np.outer(std, std) / np.sqrt(20_000)).all()
    np.testing.assert_array_equal(model.sample_y(TEST, 2), model.sample_y(TEST, 2))
    with pytest.raises(ValueError, match="n_samples=0"):
        model.sample_y(TEST, 0)
    both = model.fit(IMAGES, np.column_stack([100 * INK, INK])).sample_y(TEST, 20_000, 1)
    for target, size in ((0, 100), (1, 1)):
        error = np.cov(both[:, target]) - size**2 * cov
        assert (abs(error) < 6 * size**2 * np.outer(std, std) / np.sqrt(20_000)).all()


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_targets_of_any_size(size):
    model = small(CNTKRegressor)
    mean, std = model.fit(IMAGES, INK).predict(TEST, return_std=True)
    far_mean, far_std = model.fit(IMAGES, size * INK).predict(TEST, return_std=True)
    np.testing.assert_allclose(far_mean / size, mean, rtol=1e-8)
    np.testing.assert_allclose(far_std / size, std, rtol=1e-8)
    spread = model.sample_y(TEST, 100) - far_mean[:, None]
    assert np.isfinite(spread).all()
    assert 0.5 < np.abs(spread / far_std[:, None]).mean() < 1
    if size > 1:
        with pytest.raises(ValueError, match="covariances of predictions are beyond the range"):
            model.predict(TEST, return_cov=True)


def test_of_searches():
    search = CNTKRegressorCV((2, 3), gaps=(False,), dtype="float64").fit(IMAGES, INK)
    best = search.best_estimator_
    for asked in ({"return_std": True}, {"return_cov": True}):
        for one, other in zip(
            search.predict(TEST, **asked), best.predict(TEST, **asked), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(search.sample_y(TEST, 2), best.sample_y(TEST, 2))


def test_one_at_a_time():
    model = small(CNTKRegressor).fit(IMAGES, INK)
    with pytest.raises(ValueError, match="return_std=True and return_cov=True: ask for one"):
        model.predict(TEST, return_std=True, return_cov=True)
    with pytest.raises(TypeError, match="return_std must be True or False, got 'yes'"):
        model.predict(TEST, return_std="yes")


def test_std_of_a_normalized_kernel():
    model = small(CNTKRegressor, normalize=True).fit(IMAGES, INK)
    with pytest.raises(ValueError, match="no meaning with normalize=True and trained_layers='all'"):
        model.predict(TEST, return_std=True)
    model = small(CNTKRegressor, normalize=True, trained_layers="last").fit(IMAGES, INK)
    _, std = model.predict(TEST, return_std=True)
    assert (std < np.sqrt(likeliest_scale(model.kernel_(IMAGES), INK - INK.mean(), 1e-5))).all()


@pytest.mark.parametrize("trained_layers", ["all", "last"])
@pytest.mark.parametrize("time", [None, 2.0])
def test_std_by_blocks(trained_layers, time):
    """Whatever blocks of test images kernel values come in."""

    class InBlocks(CNTK):
        def _job(self, images, readouts=None):
            job = super()._job(images, readouts)
            return replace(job, held=HeldValues(block=14 * N * len(job.readouts)))

    model = small(CNTKRegressor, trained_layers=trained_layers, training_time=time)
    model.fit(IMAGES, INK)
    expected = model.predict(TEST, return_std=True)[1]
    model.kernel_ = InBlocks(**model.kernel_.get_params())
    np.testing.assert_allclose(model.predict(TEST, return_std=True)[1], expected, rtol=1e-6)


def test_std_wants_memory(free_memory):
    model = small(CNTKRegressor).fit(IMAGES, INK)
    free_memory(10 * N**2)
    with pytest.raises(MemoryError, match=f"standard deviations with {N} training images"):
        model.predict(TEST, return_std=True)


def test_covariances_and_samples_want_more_memory(free_memory):
    model = small(CNTKRegressor).fit(IMAGES, INK)
    many = np.tile(TEST, (5, 1, 1))
    free_memory(100 * N**2)
    model.predict(many, return_std=True)
    with pytest.raises(MemoryError, match=f"covariances with {N} training images"):
        model.predict(many, return_cov=True)
    with pytest.raises(MemoryError, match="n_samples=10000"):
        model.sample_y(TEST[:2], 10_000)
