"""What tests of several displays share."""

import pytest
from displays import IMAGES, LABELS
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.preprocessing import ImageStandardizer


@pytest.fixture(scope="session")
def search():
    """A search in a pipeline over depth, pooling and ridge."""
    grid = {
        "cntkclassifier__depth": [4, 2],
        "cntkclassifier__gap": [True, False],
        "cntkclassifier__alpha": [1e-5, 1.0],
    }
    model = make_pipeline(ImageStandardizer(), CNTKClassifier())
    return GridSearchCV(model, grid, cv=StratifiedKFold(3)).fit(IMAGES, LABELS)
