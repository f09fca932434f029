"""scikit-learn's own tests of Gaussian processes and kernels, called with `CNTK`."""

import inspect
from itertools import product

import pytest
from gaussian_kernels import FIXED, FREE
from sklearn.base import clone

gpr_tests = pytest.importorskip(
    "sklearn.gaussian_process.tests.test_gpr", reason="scikit-learn is here without its tests"
)
kernel_tests = pytest.importorskip("sklearn.gaussian_process.tests.test_kernels")

#: What does not concern a kernel without a length scale, and why.
NOT_OURS = {
    "test_lml_gradient": "it sets a length scale; see test_gaussian_processes.py",
    "test_prior": "the variance it expects is that of stationary kernels",
    "test_no_optimizer": "it needs a theta of 0 to start from",
    "test_kernel_stationary": "for stationary kernels",
}
NEED_HYPERPARAMETERS = (
    "test_lml_improving",
    "test_converged_to_local_maximum",
    "test_solution_inside_bounds",
    "test_custom_optimizer",
)
NEED_ALL_FREE = ("test_kernel_theta",)
# It compares two optima to 1e-7, which is finer than where an optimiser stops.
NEED_ALL_FIXED = ("test_duplicate_input",)


def cases():
    """Each test of a kernel with each of ours, and all values of its other parameters."""
    for module in (gpr_tests, kernel_tests):
        for name, function in vars(module).items():
            if (
                not name.startswith("test_")
                or "kernel" not in inspect.signature(function).parameters
            ):
                continue
            if name in NOT_OURS:
                continue
            others = {
                mark.args[0]: mark.args[1]
                for mark in getattr(function, "pytestmark", [])
                if mark.name == "parametrize" and mark.args[0] != "kernel"
            }
            kernels = FREE if name in NEED_HYPERPARAMETERS else {**FREE, **FIXED}
            if name in NEED_ALL_FREE:
                kernels = {"both": FREE["both"]}
            if name in NEED_ALL_FIXED:
                kernels = FIXED
            for (label, kernel), *values in product(kernels.items(), *others.values()):
                call = dict(zip(others, values, strict=True))
                yield pytest.param(function, kernel, call, id=f"{name}-{label}")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("function", "kernel", "call"), cases())
def test_of_scikit_learn(function, kernel, call):
    function(kernel=clone(kernel), **call)
