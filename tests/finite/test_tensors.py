"""PyTorch tensors in place of arrays, wherever images, targets and weights are taken."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, cntk_path
from sklearn_cntk.preprocessing import ImageStandardizer, ZCAWhitening

torch = pytest.importorskip("torch", reason="tensors are PyTorch's")

IMAGES, LABELS = load_digits().images[:60], load_digits().target[:60] % 3
TENSOR = torch.tensor(IMAGES)
OPTIONS = {"depth": 3, "gap": False}


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(TENSOR, id="float64"),
        pytest.param(TENSOR.float(), id="float32"),
        pytest.param(TENSOR.half(), id="float16"),
        pytest.param(TENSOR.bfloat16(), id="bfloat16"),  # digits are whole numbers up to 16
        pytest.param(TENSOR.to(torch.uint8), id="uint8"),
        pytest.param(TENSOR.clone().requires_grad_(), id="with a gradient"),
        pytest.param(TENSOR.transpose(1, 2).contiguous().transpose(1, 2), id="other strides"),
    ],
)
def test_kernels(tensor):
    np.testing.assert_array_equal(CNTK(3)(tensor), CNTK(3)(IMAGES))
    np.testing.assert_array_equal(CNTK(3)(tensor[:5], tensor), CNTK(3)(IMAGES[:5], IMAGES))
    np.testing.assert_array_equal(CNTK(3).diag(tensor), CNTK(3).diag(IMAGES))
    np.testing.assert_array_equal(
        cntk_path(tensor, depths=(2, 3))[0], cntk_path(IMAGES, depths=(2, 3))[0]
    )


@pytest.mark.parametrize("labels", [LABELS, torch.tensor(LABELS)])
def test_classifiers(labels):
    weights = torch.arange(60) % 3
    model = CNTKClassifier(**OPTIONS).fit(TENSOR, labels, sample_weight=weights)
    expected = CNTKClassifier(**OPTIONS).fit(IMAGES, LABELS, sample_weight=weights.numpy())
    np.testing.assert_array_equal(model.predict_proba(TENSOR), expected.predict_proba(IMAGES))
    assert model.score(TENSOR, labels) == expected.score(IMAGES, LABELS)
    for cv in (None, 3):
        search = CNTKClassifierCV(depths=(2, 3), cv=cv).fit(TENSOR, labels)
        expected = CNTKClassifierCV(depths=(2, 3), cv=cv).fit(IMAGES, LABELS)
        assert search.best_params_ == expected.best_params_
        assert search.best_score_ == expected.best_score_
        assert search.score(TENSOR, labels) == expected.score(IMAGES, LABELS)


def test_lists_of_tensors():
    """With gradients as well, which NumPy refuses, and of several shapes."""
    tensors = [one.clone().requires_grad_() for one in TENSOR[:6]]
    np.testing.assert_array_equal(CNTK(3)(tensors), CNTK(3)(IMAGES[:6]))
    with pytest.raises(ValueError, match=r"of 2 shapes, such as \(8, 8\) and \(7, 8\): resize"):
        CNTKClassifier(**OPTIONS).fit([TENSOR[0], TENSOR[1, :7]], [0, 1])


def test_regressors_and_pipelines():
    ink = TENSOR.sum(dim=(1, 2))
    model = CNTKRegressor(**OPTIONS).fit(TENSOR, ink)
    expected = CNTKRegressor(**OPTIONS).fit(IMAGES, ink.numpy())
    np.testing.assert_array_equal(model.predict(TENSOR), expected.predict(IMAGES))
    for transformer in (ImageStandardizer(), ZCAWhitening()):
        values = transformer.fit_transform(TENSOR.clone().requires_grad_())
        assert isinstance(values, np.ndarray)
        np.testing.assert_array_equal(values, transformer.fit_transform(IMAGES))
        pipeline = make_pipeline(transformer, CNTKClassifier(**OPTIONS))
        np.testing.assert_array_equal(
            cross_val_score(pipeline, TENSOR, LABELS, cv=2),
            cross_val_score(pipeline, IMAGES, LABELS, cv=2),
        )
