"""Conjugate gradients: against the factorisation, and where they do not converge."""

import warnings

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from sklearn_cntk import CNTK, CNTKRegressor
from sklearn_cntk._linalg.conjugate_gradients import _conjugate_gradients, ridge_cg
from sklearn_cntk._linalg.gram_operators import ArrayGram
from sklearn_cntk._linalg.ridge import ridge_dual

IMAGES = load_digits().images[:150]
LABELS = load_digits().target[:150]
TEST = load_digits().images[150:200]


def definite(rng, n):
    """A positive definite matrix, its eigenvalues over four orders of magnitude."""
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return (Q * np.geomspace(1e-4, 1, n)) @ Q.T


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [None, 3])
def test_conjugate_gradients_solve(rng, weighted, n_targets):
    K = CNTK(4, gap=False)(IMAGES)
    targets = rng.normal(size=(150,) if n_targets is None else (150, n_targets))
    weights = rng.integers(0, 3, size=150).astype(float) if weighted else None
    dual, n_iter = ridge_cg(
        ArrayGram(K), targets, 1e-4, weights,
        tol=1e-12, max_iter=300, random_state=np.random.RandomState(0),
    )  # fmt: skip
    expected = ridge_dual(K.copy(), targets, 1e-4, weights)
    np.testing.assert_allclose(dual, expected, rtol=1e-6, atol=1e-8 * abs(expected).max())
    assert 0 < n_iter < 200


def test_no_convergence_is_said():
    model = CNTKRegressor(3, solver="cg", tol=1e-14, max_iter=1, gap=False)
    with pytest.warns(ConvergenceWarning, match="raise max_iter, tol or alpha"):
        model.fit(IMAGES, LABELS)
    assert model.n_iter_ == 1


def test_a_matrix_of_zero_has_no_solution():
    """Images of zeros without a ridge, for Cholesky as well; with one, the mean is learnt."""
    images, targets = np.zeros((10, 4, 4)), np.arange(10.0)
    for solver in ("cg", "cholesky"):
        with pytest.raises(LinAlgError, match="alpha=0 is not positive definite"):
            CNTKRegressor(3, solver=solver, alpha=0, gap=False).fit(images, targets)
    model = CNTKRegressor(3, solver="cg", alpha=1e-3, gap=False).fit(images, targets)
    np.testing.assert_array_equal(model.predict(TEST[:, :4, :4]), 4.5)


@pytest.mark.parametrize("size", [2.0**664, 2.0**-664])
def test_targets_of_any_size(size):
    """Powers of two: the iterations amplify what rounding would do to the targets."""
    targets = np.column_stack([LABELS * size, LABELS, np.zeros(150)])
    model = CNTKRegressor(3, solver="cg", gap=False, random_state=0).fit(IMAGES, targets)
    predicted = model.predict(TEST)
    np.testing.assert_allclose(predicted[:, 0] / size, predicted[:, 1], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(predicted[:, 2], 0)
    exact = CNTKRegressor(3, gap=False).fit(IMAGES, LABELS).predict(TEST)
    np.testing.assert_allclose(predicted[:, 1], exact, atol=1e-3)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_residual_that_is_no_number(value):
    class Gram(ArrayGram):
        def product(self, V):
            return super().product(V) * value

    options = {"tol": 1e-6, "max_iter": 5, "random_state": np.random.RandomState(0)}
    with pytest.raises(np.linalg.LinAlgError, match="solver='cg' obtained a residual of .*Divide"):
        ridge_cg(Gram(CNTK(3, gap=False)(IMAGES)), LABELS.astype(float), 1e-3, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_targets", [1, 2])
def test_contradictions_without_a_ridge_have_no_solution(dtype, seed, n_targets):
    """Images given twice with other targets: no factor for Cholesky, no bound for iterations."""
    images = np.random.default_rng(seed).normal(size=(20, 5, 5))
    twice, targets = np.concatenate([images, images]), np.repeat([0.0, 1.0], 20)
    if n_targets == 2:
        targets = np.column_stack([targets, np.random.default_rng(seed).normal(size=40)])
    for solver in ("cg", "cholesky"):
        model = CNTKRegressor(2, solver=solver, alpha=0, dtype=dtype)
        with pytest.raises(LinAlgError, match="alpha=0 is not positive definite. Set alpha to"):
            model.fit(twice, targets)


@pytest.mark.parametrize("weight", [1e8, 1e13])
def test_rows_of_large_weight_and_small_targets(rng, weight):
    """They bound the solution of the light rows no more than Cholesky does."""
    points = rng.normal(size=(60, 3))
    K = np.exp(-((points[:, None] - points) ** 2).sum(axis=2) / 2)
    weights, targets = np.ones(60), rng.normal(size=60)
    weights[0], targets[0] = weight, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neither is sure of all digits
        dual, _ = ridge_cg(
            ArrayGram(K), targets, 1e-5, weights,
            tol=1e-9, max_iter=500, random_state=np.random.RandomState(0),
        )  # fmt: skip
        expected = ridge_dual(K.copy(), targets, 1e-5, weights)
    assert np.isfinite(dual).all()
    if weight == 1e8:  # beyond it the iterations know the light rows no more
        np.testing.assert_allclose(K @ dual, K @ expected, atol=1e-3 * abs(K @ expected).max())


def test_images_given_twice_with_one_target_have_one():
    images = np.random.default_rng(0).normal(size=(20, 5, 5))
    targets = np.random.default_rng(1).normal(size=20)
    settings = {"depth": 2, "dtype": "float64", "tol": 1e-9}
    twice = CNTKRegressor(solver="cg", alpha=0, **settings)
    twice.fit(np.concatenate([images, images]), np.concatenate([targets, targets]))
    once = CNTKRegressor(solver="cholesky", alpha=0, **settings).fit(images, targets)
    np.testing.assert_allclose(
        twice.predict(TEST[:, :5, :5]), once.predict(TEST[:, :5, :5]), atol=1e-6
    )


def test_the_best_iterate_is_returned(rng):
    """Without a preconditioner the residual rises in between; a naive iteration tells when."""
    K = definite(rng, 30)
    b = rng.normal(size=(30, 1))
    x, r = np.zeros_like(b), b.copy()
    p, residuals = r.copy(), []
    for _ in range(12):
        step = (r * r).sum() / (p * (K @ p)).sum()
        x, before = x + step * p, (r * r).sum()
        r = r - step * (K @ p)
        p = r + (r * r).sum() / before * p
        residuals.append(np.linalg.norm(r) / np.linalg.norm(b))
    assert (np.diff(residuals) > 0.01).any()
    for max_iter in range(1, 13):
        best, n_iter, smallest = _conjugate_gradients(
            lambda V: K @ V, b, lambda V: V, 0.0, max_iter, np.ones((30, 1)), 0
        )
        assert n_iter == max_iter
        assert smallest == pytest.approx(min(residuals[:max_iter]), rel=1e-6)
        residual = np.linalg.norm(b - K @ best) / np.linalg.norm(b)
        assert residual == pytest.approx(smallest, rel=1e-6)
