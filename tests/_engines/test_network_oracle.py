"""Networks of any layers against the values of another system."""

from itertools import product

import network_oracle
import numpy as np
import pytest
from engines import cpu, reference
from scipy.special import erf

from sklearn_cntk.networks import Network


@pytest.mark.parametrize(
    ("engine", "dtype", "file"),
    [
        (reference, "float64", "layers"),
        pytest.param(reference, "float64", "networks", marks=pytest.mark.slow),
        *product([cpu], ["float64", "float32"], network_oracle.FILES),
    ],
)
def test_oracle(engine, dtype, file):
    cases = network_oracle.cases(file)
    n_blocks = sum(network_oracle.compare(engine, case, dtype) for case in cases)
    assert n_blocks == {"networks": 402, "layers": 168}[file]


def test_default_weight_variances_keep_the_size_of_features():
    """1/E[φ(z)²], here by Gauss-Hermite quadrature."""
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    weights /= weights.sum()
    for kind, phi in {
        "relu": np.maximum(z, 0),
        "erf": erf(z),
        "gelu": z * (1 + erf(z / np.sqrt(2))) / 2,
    }.items():
        _, dense = Network.plain(2, activation=kind).weight_variances
        expected = 1 / (weights @ phi**2)
        np.testing.assert_allclose(dense, expected, rtol=1e-2 if kind == "relu" else 1e-6)
