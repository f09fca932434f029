"""Identities of the kernel, on images of any shape."""

import numpy as np
from engines import cpu
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_cntk.networks import Architecture, Readout


@st.composite
def problems(draw):
    """Images X and Y of a random shape, an architecture, and readouts."""
    shape = tuple(draw(st.integers(1, k)) for k in (6, 6, 3))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X, Y = seed.normal(size=(3, *shape)), seed.normal(size=(2, *shape))
    depth = draw(st.integers(3, 6))
    readouts = [
        Readout(depth, gap, trained_layers)
        for gap in (True, False)
        for trained_layers in ("all", "hidden", "last")
    ]
    return X, Y, Architecture(shape, draw(st.sampled_from([1, 3, 5]))), readouts


def float64_gram(X, Y, architecture, readouts):
    return cpu.gram(X, Y, architecture, readouts, dtype="float64")


few = settings(max_examples=15, deadline=None)


@few
@given(problems())
def test_symmetry(problem):
    X, Y, architecture, readouts = problem
    values = float64_gram(X, Y, architecture, readouts)
    swapped = float64_gram(Y, X, architecture, readouts)
    np.testing.assert_allclose(values, swapped.swapaxes(1, 2), rtol=1e-12, atol=1e-300)


@few
@given(problems())
def test_positive_semidefinite(problem):
    X, Y, architecture, readouts = problem
    images = np.concatenate([X, Y])
    for K in float64_gram(images, images, architecture, readouts):
        eigenvalues = np.linalg.eigvalsh(K)
        # κ₀ keeps half of the digits of λ where patches of two images are parallel.
        assert eigenvalues[0] >= -1e-8 * eigenvalues[-1]


@few
@given(problems(), st.sampled_from([1, 2]))
def test_flips_of_both_images_change_nothing(problem, axis):
    X, Y, architecture, readouts = problem
    values = float64_gram(np.flip(X, axis), np.flip(Y, axis), architecture, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_transposition_of_both_images_changes_nothing(problem):
    X, Y, architecture, readouts = problem
    X_t, Y_t = X.swapaxes(1, 2), Y.swapaxes(1, 2)
    transposed = Architecture(X_t.shape[1:], architecture.filter_size)
    values = float64_gram(X_t, Y_t, transposed, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_channels_have_no_order(problem):
    X, Y, architecture, readouts = problem
    values = float64_gram(X[..., ::-1], Y[..., ::-1], architecture, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_trained_layers_add_up(problem):
    """The tangents of different layers add: of all layers those of the last, and more."""
    X, _, architecture, readouts = problem
    values = float64_gram(X, X, architecture, readouts)
    of_all, hidden, last = values[:3].diagonal(axis1=1, axis2=2)
    assert (of_all >= (hidden + last) * (1 - 1e-12)).all()
    # Depth 2, one pixel, q = 1: Θ = κ₀ Σ⁰ + K, and only the first layer makes the difference.
    if architecture.image_shape[:2] == (1, 1) and architecture.filter_size == 1:
        shallow = [Readout(2, False, "all"), Readout(2, False, "last")]
        full, dense = float64_gram(X, X, architecture, shallow)
        gram = np.einsum("nijc,mijc->nm", X, X)
        norms = np.sqrt(gram.diagonal())
        correlation = np.clip(gram / np.outer(norms, norms), -1, 1)
        expected = gram * (1 - np.arccos(correlation) / np.pi)
        np.testing.assert_allclose(full - dense, expected, atol=1e-7 * gram.max())
