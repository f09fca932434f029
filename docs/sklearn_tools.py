"""Run all of scikit-learn's tools to find out which accept images, and which only rows.

python docs/sklearn_tools.py           # write the table of docs/with_scikit_learn.md
python docs/sklearn_tools.py --check   # fail if it is out of date
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn
from module_map import update, with_map
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import SpectralClustering
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_digits
from sklearn.decomposition import KernelPCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, SVR

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor
from sklearn_cntk.preprocessing import ImageStandardizer

PAGE = Path(__file__).parent / "with_scikit_learn.md"
MARKS = "<!-- table -->", "<!-- end of table -->"
RELEASE = ".".join(sklearn.__version__.split(".")[:2])

SHAPE = (8, 8)
DIGITS = load_digits()
FEW = np.flatnonzero(DIGITS.target < 3)[:45]
IMAGES, LABELS = DIGITS.images[FEW], DIGITS.target[FEW]
TWO = LABELS == 1
INK = IMAGES.sum(axis=(1, 2))
INKS = np.column_stack([INK, IMAGES[:, :, :4].sum(axis=(1, 2))])
GRID = {"alpha": [1e-5, 1e-2]}


def classifier():
    return CNTKClassifier(3, False, image_shape=SHAPE, random_state=0)


def regressor():
    return CNTKRegressor(3, False, image_shape=SHAPE)


def kernel():
    return CNTK(3, False, image_shape=SHAPE, normalize=True)


def fitted(model, y=LABELS):
    """Return a function of X that fits a model and predicts."""
    return lambda X: model.fit(X, y).predict(X)


def transformed(model):
    return lambda X: model.fit_transform(X)


def _partly_labelled():
    labels = LABELS.copy()
    labels[::3] = -1
    return labels


#: Tools by kind; each is a function of X.
TOOLS = {
    "Evaluation": {
        "train_test_split": lambda X: train_test_split(X, LABELS),
        "cross_val_score": lambda X: cross_val_score(classifier(), X, LABELS, cv=2),
        "cross_val_predict": lambda X: cross_val_predict(classifier(), X, LABELS, cv=2),
        "cross_validate": lambda X: cross_validate(
            classifier(), X, LABELS, cv=2, error_score="raise"
        ),
        "learning_curve": lambda X: learning_curve(
            classifier(), X, LABELS, cv=2, train_sizes=[0.5, 1.0], error_score="raise"
        ),
        "validation_curve": lambda X: validation_curve(
            classifier(), X, LABELS, param_name="alpha", param_range=[1e-3, 1], cv=2
        ),
        "permutation_test_score": lambda X: permutation_test_score(
            classifier(), X, LABELS, cv=2, n_permutations=2
        ),
    },
    "Searches": {
        "GridSearchCV": fitted(GridSearchCV(classifier(), GRID, cv=2)),
        "RandomizedSearchCV": fitted(
            RandomizedSearchCV(classifier(), GRID, n_iter=1, cv=2, random_state=0)
        ),
        "HalvingGridSearchCV": fitted(
            HalvingGridSearchCV(classifier(), GRID, cv=2, min_resources=20, random_state=0)
        ),
        "TunedThresholdClassifierCV": fitted(TunedThresholdClassifierCV(classifier(), cv=2), TWO),
    },
    "Composition": {
        "Pipeline": fitted(make_pipeline(ImageStandardizer(SHAPE), classifier())),
        "FunctionTransformer": fitted(make_pipeline(FunctionTransformer(np.sqrt), classifier())),
        "TransformedTargetRegressor": fitted(
            TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp), INK
        ),
        "FeatureUnion": transformed(FeatureUnion([("one", ImageStandardizer(SHAPE))])),
        "ColumnTransformer": transformed(
            ColumnTransformer([("one", ImageStandardizer(SHAPE), list(range(64)))])
        ),
    },
    "Ensembles": {
        "VotingClassifier": fitted(VotingClassifier([("one", classifier())])),
        "StackingClassifier": fitted(
            StackingClassifier([("one", classifier())], LogisticRegression(), cv=2)
        ),
        "BaggingClassifier": fitted(BaggingClassifier(classifier(), 2, random_state=0)),
        "AdaBoostClassifier": fitted(AdaBoostClassifier(classifier(), n_estimators=2)),
    },
    "Several targets or classes": {
        "OneVsRestClassifier": fitted(OneVsRestClassifier(classifier())),
        "OneVsOneClassifier": fitted(OneVsOneClassifier(classifier())),
        "OutputCodeClassifier": fitted(OutputCodeClassifier(classifier(), random_state=0)),
        "MultiOutputClassifier": fitted(
            MultiOutputClassifier(classifier()), np.column_stack([LABELS, TWO])
        ),
        "MultiOutputRegressor": fitted(MultiOutputRegressor(regressor()), INKS),
        "ClassifierChain": fitted(
            ClassifierChain(classifier().set_params(image_shape=None)),
            np.column_stack([TWO, LABELS == 2]),
        ),
        "RegressorChain": fitted(RegressorChain(regressor().set_params(image_shape=None)), INKS),
    },
    "Probabilities and labels": {
        "CalibratedClassifierCV": fitted(CalibratedClassifierCV(classifier(), cv=2)),
        "FixedThresholdClassifier": fitted(FixedThresholdClassifier(classifier()), TWO),
        "SelfTrainingClassifier": fitted(SelfTrainingClassifier(classifier()), _partly_labelled()),
    },
    "Inspection of single features": {
        "permutation_importance": lambda X: permutation_importance(
            classifier().fit(X, LABELS), X, LABELS, n_repeats=1
        ),
        "partial_dependence": lambda X: partial_dependence(
            classifier().fit(X, LABELS), X, [20], grid_resolution=3
        ),
    },
    "Kernel methods, with `CNTK` as the kernel": {
        "GaussianProcessRegressor": fitted(
            GaussianProcessRegressor(kernel(), alpha=1e-6, normalize_y=True), INK
        ),
        "GaussianProcessClassifier": fitted(GaussianProcessClassifier(kernel())),
        "SVC": fitted(SVC(kernel=kernel())),
        "SVR": fitted(SVR(kernel=kernel()), INK),
        "KernelRidge": fitted(KernelRidge(kernel=kernel()), INK),
        'KernelPCA(kernel="precomputed")': lambda X: KernelPCA(
            2, kernel="precomputed"
        ).fit_transform(kernel()(X)),
        "Nystroem": transformed(Nystroem(kernel(), n_components=9)),
        'SpectralClustering(affinity="precomputed")': lambda X: SpectralClustering(
            3, affinity="precomputed", random_state=0
        ).fit_predict(kernel()(X)),
    },
}


def takes(tool, X):
    """Return whether a tool runs on X."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tool(X)
        except (ValueError, TypeError, IndexError):
            return False
    return True


def table():
    """Return the table as Markdown."""
    head = f"scikit-learn {RELEASE}"
    lines = [f"| {head} | images | rows |", "| --- | --- | --- |"]
    for kind, tools in TOOLS.items():
        lines.append(f"| **{kind}** | | |")
        for name, tool in tools.items():
            answers = (takes(tool, X) for X in (IMAGES, IMAGES.reshape(len(IMAGES), -1)))
            cells = " | ".join("yes" if answer else "no" for answer in answers)
            lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines)


def main(arguments):
    if arguments and f"| scikit-learn {RELEASE} |" not in PAGE.read_text(encoding="utf-8"):
        print(f"The table is for a release other than scikit-learn {RELEASE}: not checked.")
        return
    update(arguments, PAGE, lambda text: with_map(text, table(), *MARKS), "docs/sklearn_tools.py")


if __name__ == "__main__":
    main(sys.argv[1:])
