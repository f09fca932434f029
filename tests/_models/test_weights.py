"""Sample weights and targets that solvers cannot use: said by name, whatever the solver."""

import numpy as np
import pytest

from sklearn_cntk import CNTKClassifier, CNTKRegressor

SOLVERS = [
    {"solver": "cholesky"},
    {"solver": "cg"},
    {"solver": "nystroem", "n_components": 6},
    {"training_time": 3.0},
]
IMAGES = np.random.default_rng(0).normal(size=(12, 3, 3, 1))
TARGETS = IMAGES.sum(axis=(1, 2, 3))


def model(cls=CNTKRegressor, **options):
    return cls(3, gap=False, dtype="float64", n_jobs=1, **options)


@pytest.mark.parametrize("options", SOLVERS, ids=str)
@pytest.mark.parametrize(
    "weight",
    [np.nan, np.inf, -1.0, 0, np.float32("nan"), np.array(np.nan), "2", 1j]
    + [pytest.param(10**400, id="1e400")],
)
def test_single_weights_are_checked(options, weight):
    with pytest.raises(ValueError, match="sample_weight=.* cannot be used: use a finite number"):
        model(**options).fit(IMAGES, TARGETS, sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight=.* cannot be used"):
        model(CNTKClassifier, **options).fit(IMAGES, TARGETS > 0, sample_weight=weight)


@pytest.mark.parametrize("options", SOLVERS, ids=str)
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.nan, "sample_weight contains NaN"),
        (np.inf, "sample_weight contains infinity"),
        (-1.0, "[Nn]egative values in data passed to.*sample_weight"),
        (1e308, "sample_weight goes up to 1.0e.308, and its sum is beyond the range"),
    ],
)
def test_arrays_of_weights_are_checked(options, weight, message):
    weights = np.ones(12)
    weights[3:5] = weight
    with pytest.raises(ValueError, match=message):
        model(**options).fit(IMAGES, TARGETS, sample_weight=weights)


def test_a_single_weight_is_that_of_every_row():
    """As if every image were given so often: the ridge counts half as much."""
    weighted = model(alpha=0.2).fit(IMAGES, TARGETS, sample_weight=2)
    halved = model(alpha=0.1).fit(IMAGES, TARGETS)
    np.testing.assert_allclose(weighted.predict(IMAGES), halved.predict(IMAGES), rtol=1e-10)


@pytest.mark.parametrize("options", SOLVERS, ids=str)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_dual_coefficients_are_looked_at(options):
    """Of targets that float64 holds, while it does not hold what they come to."""
    with pytest.raises(
        ValueError, match="y, sample_weight and kernel values.*: divide y by a constant"
    ):
        model(alpha=1e-9, **options).fit(1e-4 * IMAGES, np.sign(TARGETS) * 1e307)


@pytest.mark.parametrize("options", SOLVERS, ids=str)
@pytest.mark.parametrize("factors", [(1e10, 1.0, 1e300), (1.0, 1e306, 1e10)], ids=str)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_products_with_weights_are_looked_at(options, factors):
    """Of weights and kernel values, and of weights and targets."""
    pixels, targets, weight = factors
    with pytest.raises(ValueError, match="y, sample_weight and kernel values.* beyond the range"):
        model(**options).fit(IMAGES * pixels, TARGETS * targets, np.full(12, weight))
