"""Models that are saved and loaded: by the same version, and by another one."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTKClassifier, CNTKClassifierCV, CNTKRegressor
from sklearn_cntk._models import base
from sklearn_cntk.preprocessing import ImageStandardizer, PatchFeatures, ZCAWhitening

IMAGES = np.random.default_rng(0).normal(size=(12, 4, 4, 1))
LABELS = np.arange(12) % 2
MODELS = [
    CNTKClassifier(3, gap=False),
    CNTKRegressor(3, gap=False),
    CNTKClassifierCV(depths=(2, 3)),
    make_pipeline(ImageStandardizer(), ZCAWhitening(), CNTKClassifier(3, gap=False)),
    make_pipeline(PatchFeatures(4, 2, pool_size=2), CNTKClassifier(3, gap=False)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_same_version_says_nothing(model, tmp_path):
    model = clone(model).fit(IMAGES, LABELS)
    joblib.dump(model, tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = joblib.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))
        copies = [*loaded, copy.deepcopy(model)]
    for other in copies:
        np.testing.assert_array_equal(other.predict(IMAGES), model.predict(IMAGES))
        assert vars(other).keys() == vars(model).keys()


@pytest.mark.parametrize("cls", [ImageStandardizer, PatchFeatures, ZCAWhitening])
def test_pickles_name_the_public_module(cls):
    """Files may be split, and models stay readable."""
    assert (cls.__module__, cls.__qualname__) == ("sklearn_cntk.preprocessing", cls.__name__)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_another_version_warns(model, monkeypatch):
    saved = pickle.dumps(clone(model).fit(IMAGES, LABELS))
    monkeypatch.setattr(base, "__version__", "9.9")
    with pytest.warns(UserWarning, match=r"was saved by sklearn-cntk \d.* is loaded by 9\.9"):
        pickle.loads(saved)
    monkeypatch.undo()
    state = CNTKRegressor().__getstate__()
    del state["_sklearn_cntk_version"]
    with pytest.warns(UserWarning, match="saved by sklearn-cntk of another version"):
        CNTKRegressor().__setstate__(state)
