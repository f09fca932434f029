"""Constructors made of declared parameters."""

import copy
import pickle

import pytest
from sklearn.base import clone

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, CNTKRegressorCV


@pytest.mark.parametrize(
    ("cls", "name", "remedy"),
    [
        (CNTKClassifier, "dept", "did you mean 'depth'?"),
        (CNTKClassifierCV, "depth", "did you mean 'depths'?"),
        (CNTKClassifierCV, "train_size", "it belongs to CNTKClassifier .* which GridSearchCV can"),
        (CNTKRegressorCV, "n_components", "it belongs to CNTKClassifier .* which GridSearchCV can"),
        (CNTK, "gaps", "did you mean 'gap'?"),
        (CNTKRegressor, "image_size", "did you mean 'image_shape'?"),
        (CNTK, "colour", r"use one of \['bias_variance', 'bias_variance_bounds', 'depth'"),
    ],
)
def test_wrong_names_come_with_near_ones(cls, name, remedy):
    with pytest.raises(TypeError, match=f"{cls.__name__} has no parameter '{name}': {remedy}"):
        cls(**{name: 3})


def test_right_names_are_as_before():
    model = CNTKClassifier(3, gap=False, alpha=0.1)
    for other in (clone(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
    with pytest.raises(TypeError, match="positional arguments"):
        CNTKClassifier(3, False, 0.1)


def test_subclasses_with_constructors_of_their_own():
    class Open(CNTKClassifier):
        def __init__(self, **options):
            super().__init__(**options)

    class Extended(CNTKClassifier):
        def __init__(self, depth=3, *, extra=1):
            super().__init__(depth)
            self.extra = extra

    assert Open(depth=4).depth == 4
    assert Extended(extra=2).extra == 2
