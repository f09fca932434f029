"""Standard deviations: against scikit-learn's Gaussian processes, and by Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest
from double_precision import IMAGES, INK, TEST, N, matrices, small
from sklearn.gaussian_process import GaussianProcessRegressor

from sklearn_cntk import CNTK, CNTKRegressor
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
    mean, std = process.predict(TEST.reshape(N, 64), return_std=True)
    model = small(CNTKRegressor, trained_layers="last", alpha=alpha)
    model.fit(IMAGES, INK, sample_weight=weights)
    predicted, spread = model.predict(TEST, return_std=True)
    np.testing.assert_allclose(predicted, mean, rtol=1e-6)
    np.testing.assert_allclose(spread, std, rtol=1e-6)


@pytest.mark.parametrize("trained_layers", ["all", "hidden", "last"])
@pytest.mark.parametrize("time", [None, 2.0])
def test_spread_of_trained_networks(trained_layers, time, rng):
    """By drawing initial functions from the NNGP prior, and training each by gradient flow."""
    if trained_layers == "last" and time is None:
        pytest.skip("this is exact inference, tested against GaussianProcessRegressor")
    both = np.concatenate([IMAGES, TEST])
    prior = CNTK(3, False, dtype="float64", trained_layers="last")(both)
    draws = rng.multivariate_normal(np.zeros(2 * N), prior, size=4000, method="eigh").T
    model = small(CNTKRegressor, trained_layers=trained_layers, alpha=1e-3, training_time=time)
    # What is learned is the difference from where the network starts.
    model.fit(IMAGES, INK[:, None] - draws[:N])
    trained = draws[N:] + model.predict(TEST)
    model.fit(IMAGES, INK)
    mean, std = model.predict(TEST, return_std=True)
    np.testing.assert_allclose(trained.std(axis=1), std, rtol=4 / np.sqrt(2 * 4000))
    assert (abs(trained.mean(axis=1) - mean) < 4.5 * std / np.sqrt(4000)).all()


def test_nothing_varies_at_training_images_after_training():
    model = small(CNTKRegressor, alpha=0).fit(IMAGES, INK)
    _, at_training = model.predict(IMAGES, return_std=True)
    _, elsewhere = model.predict(TEST, return_std=True)
    assert at_training.max() < 1e-3 * elsewhere.min()


def test_std_of_several_targets():
    model = small(CNTKRegressor).fit(IMAGES, np.column_stack([INK, INK**2]))
    mean, std = model.predict(TEST, return_std=True)
    assert mean.shape == std.shape == (N, 2)
    np.testing.assert_array_equal(std[:, 0], std[:, 1])


def test_std_of_a_normalized_kernel():
    model = small(CNTKRegressor, normalize=True).fit(IMAGES, INK)
    with pytest.raises(ValueError, match="no meaning with normalize=True and trained_layers='all'"):
        model.predict(TEST, return_std=True)
    model = small(CNTKRegressor, normalize=True, trained_layers="last").fit(IMAGES, INK)
    assert (model.predict(TEST, return_std=True)[1] < 1).all()


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
    with pytest.raises(MemoryError, match=f"return_std=True with {N} training images"):
        model.predict(TEST, return_std=True)
