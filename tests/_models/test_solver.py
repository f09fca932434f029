"""Which solver is chosen, what each refuses, and Gram matrices that are kept in a store."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor

IMAGES = load_digits().images[:150]
LABELS = load_digits().target[:150]
TEST = load_digits().images[150:200]


# --- conjugate gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("train_size", [None, 60])
def test_solvers_agree(train_size):
    options = {"depth": 3, "gap": False, "train_size": train_size, "random_state": 0}
    exact = CNTKClassifier(solver="cholesky", **options).fit(IMAGES, LABELS)
    automatic = CNTKClassifier(**options).fit(IMAGES, LABELS)
    iterated = CNTKClassifier(solver="cg", tol=1e-9, **options).fit(IMAGES, LABELS)
    expected = exact.decision_function(TEST)
    np.testing.assert_array_equal(automatic.decision_function(TEST), expected)
    np.testing.assert_allclose(iterated.decision_function(TEST), expected, atol=1e-5)


# --- choice and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lu"}, "solver='lu' is unknown"),
        ({"solver": "nystroem"}, "needs n_components"),
        ({"solver": "nystroem", "n_components": 151}, "more than the 150 training images"),
        ({"solver": "nystroem", "n_components": 0}, "n_components=0 is too small"),
        ({"solver": "nystroem", "n_components": 5, "gram_store": "x"}, "gram_store cannot be used"),
        ({"landmarks": "random"}, "landmarks='random' is unknown"),
        ({"solver": "cg", "training_time": 1.0}, "needs an eigendecomposition"),
        ({"solver": "cg", "tol": 0}, "tol=0 must be"),
        ({"solver": "cg", "max_iter": 0}, "max_iter=0 is too small"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        CNTKRegressor(3, **parameters).fit(IMAGES, LABELS)


def test_landmarks_that_nobody_uses():
    with pytest.warns(UserWarning, match="n_components=5 is not used by solver='auto'"):
        CNTKRegressor(3, gap=False, n_components=5).fit(IMAGES[:20], LABELS[:20])


def test_automatic_choice(free_memory, capsys):
    CNTKRegressor(3, gap=False, verbose=1).fit(IMAGES[:20], LABELS[:20])
    assert "solver='auto' chose 'cholesky'" in capsys.readouterr().out
    free_memory(10_000)
    with pytest.raises(MemoryError, match="set gram_store to a folder"):
        CNTKRegressor(3, gap=False).fit(IMAGES, LABELS)


# --- Zarr ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_once", [True, False])
@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_fit_from_a_store(tmp_path, gram_to_zarr, solver, read_once, monkeypatch):
    """Of small matrices, which "cg" reads once, and of large ones."""
    if not read_once:
        monkeypatch.setattr("sklearn_cntk._models.solver._READ_ONCE", 0)
    images, labels = IMAGES[:60], LABELS[:60]
    model = CNTKClassifier(3, False, gram_store=str(tmp_path / "gram"), solver=solver, tol=1e-9)
    expected = CNTKClassifier(3, False).fit(images, labels).decision_function(TEST)
    model.fit(images, labels)
    np.testing.assert_allclose(model.decision_function(TEST), expected, atol=1e-5)
    model.fit(images, labels % 2)  # other labels, the same Gram matrix
    with pytest.raises(ValueError, match="holds another Gram matrix"):
        model.fit(images[:30], labels[:30])


def test_fit_takes_the_precision_of_the_store(tmp_path, gram_to_zarr):
    store = str(tmp_path / "gram")
    array = gram_to_zarr(CNTK(3, False), IMAGES, store=store, dtype="float32")
    model = CNTKClassifier(3, False, gram_store=store, solver="cg", tol=1e-9).fit(IMAGES, LABELS)
    expected = CNTKClassifier(3, False).fit(IMAGES, LABELS).decision_function(TEST)
    np.testing.assert_allclose(model.decision_function(TEST), expected, atol=1e-3)
    assert gram_to_zarr(CNTK(3, False), IMAGES, store=store).dtype == array.dtype == "float32"
