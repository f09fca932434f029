"""Compare kernels of fully connected networks with tuned rivals on scikit-learn's small tables.

Breast cancer and wine (classification) and diabetes (regression), with five-fold cross-validation
that is repeated five times with different folds, the same for all methods.  In every fold, each
method standardises the features and chooses its settings on the training rows alone: the kernels
and ridge regression by leave-one-out, the others by five folds within these rows.

    python benchmarks/tables.py [--repeats 5] [--sets NAME ...] [--methods METHOD ...] [--json FILE]

Takes about three minutes on one core.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from cells import print_table
from machine import describe_machine
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from threadpoolctl import threadpool_limits

from sklearn_cntk import CNTKClassifierCV, CNTKRegressorCV

SETS = {"breast cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}
REGRESSION = ("diabetes",)
#: Large ridges first, because the first of equally good candidates is chosen.
ALPHAS = [1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
COSTS = [1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3]
#: In units of one over the number of features, as for gamma="scale" with standardised features.
GAMMAS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
KERNELS = {
    "CNTK": {"depths": range(1, 6)},
    "CNTK, biases": {"depths": range(1, 6), "bias_variance": 0.1},
    "CNTK, biases, first layer frozen": {
        "depths": range(2, 6),
        "bias_variance": 0.1,
        "frozen_layers": 1,
    },
}
METHODS = (*KERNELS, "linear", "RBF SVM", "random forest")


def estimator_of(method, name, n_features):
    """Return the estimator to fit to standardised features."""
    regression = name in REGRESSION
    if method in KERNELS:
        search = CNTKRegressorCV if regression else CNTKClassifierCV
        return search(alphas=ALPHAS, n_jobs=1, **KERNELS[method])
    if method == "linear":
        if regression:
            return RidgeCV(np.logspace(-2, 4, 13))
        return GridSearchCV(LogisticRegression(max_iter=1000), {"C": COSTS})
    if method == "RBF SVM":
        grid = {"gamma": [gamma / n_features for gamma in GAMMAS], "C": COSTS}
        if regression:  # targets have a standard deviation of 77
            return GridSearchCV(SVR(epsilon=10.0), grid)
        return GridSearchCV(SVC(), grid)
    forest = RandomForestRegressor if regression else RandomForestClassifier
    return forest(300, random_state=0)


def measure(name, method, repeats):
    """Return the scores of all folds, accuracy (%) or R², and their total processor seconds."""
    X, y = SETS[name](return_X_y=True)
    splitter = RepeatedKFold if name in REGRESSION else RepeatedStratifiedKFold
    folds = splitter(n_splits=5, n_repeats=repeats, random_state=0)
    model = make_pipeline(StandardScaler(), estimator_of(method, name, X.shape[1]))
    start = time.process_time()
    scores = cross_val_score(model, X, y, cv=folds)
    seconds = time.process_time() - start
    return (scores if name in REGRESSION else 100 * scores).tolist(), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="repeats of five-fold CV")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--json", type=Path, help="where to save the result")
    options = parser.parse_args()

    rows = []
    with threadpool_limits(1):
        for name in options.sets:
            for method in options.methods:
                print(f"{name}: {method}", flush=True)
                scores, seconds = measure(name, method, options.repeats)
                rows.append(
                    {
                        "set": name,
                        "metric": "R²" if name in REGRESSION else "per cent correct",
                        "method": method,
                        "mean": statistics.mean(scores),
                        "standard deviation": statistics.stdev(scores),
                        "processor seconds": seconds / len(scores),
                        "scores": scores,
                    }
                )
    shown = [{name: value for name, value in row.items() if name != "scores"} for row in rows]
    print_table(
        [{k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()} for row in shown]
    )
    if options.json:
        result = {"machine": describe_machine(), "repeats": options.repeats, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
