"""Rows without `image_shape` are feature vectors, which is said where images may be meant."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, cntk_path

DIGITS, LABELS = load_digits(return_X_y=True)
ROWS, LABELS = DIGITS[:30] / 16, LABELS[:30] % 3
FEW = ROWS[:, 10:30]


@pytest.mark.parametrize(
    ("n_features", "shape"), [(64, "(8, 8)"), (784, "(28, 28)"), (3072, "(32, 32, 3)")]
)
def test_familiar_numbers_of_features(n_features, shape, rng):
    X = rng.normal(size=(4, n_features))
    message = f"rows of {n_features} features.*fully connected.*{shape}.*(1, 1, {n_features})"
    for call in (
        lambda: CNTK(3)(X),
        lambda: CNTKClassifier(3).fit(X, [0, 1, 0, 1]),
        lambda: CNTKClassifierCV((2, 3)).fit(X, [0, 1, 0, 1]),
        lambda: cntk_path(X, depths=[2, 3]),
    ):
        with pytest.warns(UserWarning, match=message.replace("(", r"\(").replace(")", r"\)")):
            call()


def test_no_hint_where_the_shape_is_said_or_not_familiar():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CNTK(3, image_shape=(8, 8))(ROWS)
        CNTK(3, image_shape=(1, 1, 64))(ROWS)
        CNTK(3)(ROWS[:, 1:])
        CNTK(3)(ROWS.reshape(30, 8, 8))
    with pytest.warns(UserWarning, match="rows of 64 features"):
        model = CNTKClassifier(3).fit(ROWS, LABELS)
    model.predict(ROWS)  # which is an error where it warns


@pytest.mark.parametrize("options", [{"flip": True}, {"lap": 2, "gap": False}, {"filter_size": 5}])
def test_what_is_of_no_use(options):
    plain = CNTK(3, gap=False)(FEW)
    np.testing.assert_array_equal(CNTK(3, filter_size=1)(FEW), plain)  # without a warning
    named = next(f"{name}={value}" for name, value in options.items() if name != "gap")
    with pytest.warns(UserWarning, match=f"{named}: no effect on feature vectors.*_shape"):
        K = CNTK(3, **options)(FEW)
    # But for the scale: windows of local pooling are mostly empty.
    np.testing.assert_allclose(K / K[0, 0], plain / plain[0, 0], rtol=1e-12)


def test_several_are_named_together():
    with pytest.warns(UserWarning, match="flip=True and filter_size=5: no effect"):
        CNTK(3, flip=True, filter_size=5)(FEW)


def test_poolings_are_one_candidate():
    search = CNTKClassifierCV((2, 3), (True, False), alphas=(1e-3,)).fit(FEW, LABELS)
    assert [params["depth"] for params in search.cv_results_["params"]] == [2, 3]
    alone = CNTKClassifierCV((2, 3), (False,), alphas=(1e-3,)).fit(FEW, LABELS)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_progress_says_so(capsys):
    CNTK(3, verbose=1)(FEW)
    assert "fully connected NTK on CPU" in capsys.readouterr().err
    CNTK(3, verbose=1)(ROWS.reshape(30, 8, 8))
    assert "fully connected" not in capsys.readouterr().err
