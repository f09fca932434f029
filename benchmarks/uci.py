"""Compare kernels of fully connected networks with tuned rivals on 90 small tables.

The tables are from the UCI collection, and the protocol is that of Arora et al. 2020, "Harnessing
the Power of Infinitely Wide Deep Nets on Small-data Tasks".  Each method chooses its settings on
one split of a table into halves.  It is then trained and tested on four random splits of three
parts to one; its accuracy is their mean.  The rows for choosing settings are also part of these
splits.  Features are standardised.  The NTK has 0 to 4 hidden layers, of which the first 0 to all
are frozen, and is used in a support vector machine; without a hidden layer it is the linear kernel.

    python benchmarks/uci.py --data uci_90.npz [--sets NAME ...] [--checkpoint FILE.json]
        [--json FILE] [--n-jobs 2]

The file holds NAME/X, NAME/y, NAME/select (1: training part, 2: validation part of the split for
choosing settings) and NAME/folds (four rows; 1: training part, 2: test part) for every set.  Sets
are computed one by one, the large ones first; with --checkpoint a killed run resumes.
"""

import argparse
import json
import time
import warnings
from itertools import combinations, product
from pathlib import Path

import numpy as np
from cells import Cells, print_table
from joblib import Parallel, delayed
from machine import describe_machine
from scipy.stats import rankdata, wilcoxon
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from sklearn_cntk import CNTKClassifier, CNTKClassifierCV, cntk_path

HIDDEN_LAYERS = range(5)
COSTS = [1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4]
ALPHAS = [1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
#: For libsvm, a few seconds: with the largest C, it could take minutes longer on tables that no
#: kernel separates.
MAX_ITER = 200_000
#: Estimator and grid of every rival; gamma and max_features are relative to the features.
RIVALS = {
    "RBF SVM": (
        SVC(max_iter=MAX_ITER),
        {"gamma × features": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0], "C": COSTS},
    ),
    "random forest": (
        RandomForestClassifier(500, random_state=0),
        {"max_features / √features": [0.5, 1.0, 2.0], "min_samples_leaf": [1, 3]},
    ),
    "gradient boosting": (
        HistGradientBoostingClassifier(early_stopping=False, random_state=0),
        {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [4, 31], "min_samples_leaf": [1, 5, 20]},
    ),
    "logistic regression": (LogisticRegression(max_iter=1000), {"C": COSTS}),
}
#: Hidden layers, and how many of them are frozen; if all are frozen, it is the NNGP kernel.
NETWORKS = [(hidden, frozen) for hidden in HIDDEN_LAYERS for frozen in range(hidden + 1)]
KERNELS = {
    "NTK, SVM": NETWORKS,
    "NNGP, SVM": [(hidden, hidden) for hidden in HIDDEN_LAYERS],
    "NTK, SVM, none frozen": [(hidden, 0) for hidden in HIDDEN_LAYERS],
}
RIDGE = "NTK, CNTKClassifier"
METHODS = (*KERNELS, RIDGE, *RIVALS)


class Table:
    """A set: its features, its classes as 0 to k - 1, and its splits as pairs of row numbers."""

    def __init__(self, file, name):
        self.X = file[f"{name}/X"].astype(np.float64)
        _, self.y = np.unique(file[f"{name}/y"], return_inverse=True)
        parts = (file[f"{name}/select"], *file[f"{name}/folds"])
        self.select, *self.folds = [tuple(np.flatnonzero(p == k) for k in (1, 2)) for p in parts]


def grams(X):
    """Return Gram matrices for every (hidden, frozen), scaled to a mean diagonal of n_features.

    One pass gives all depths of networks with the same number of frozen layers.
    """
    held = {}
    for frozen in HIDDEN_LAYERS:
        depths = [hidden + 1 for hidden in HIDDEN_LAYERS if hidden >= frozen]
        K, readouts = cntk_path(
            X,
            depths=depths,
            gap=(False,),
            frozen_layers=frozen,
            image_shape=(1, 1, X.shape[1]),
            dtype="float64",
            n_jobs=1,
        )
        for gram, readout in zip(K, readouts, strict=True):
            mean = np.diagonal(gram).mean()
            held[readout["depth"] - 1, frozen] = gram * (X.shape[1] / mean if mean > 0 else 1.0)
    return held


class Timed:
    """Accuracies that are computed once, and the processor seconds of each."""

    def __init__(self, accuracy):
        self.accuracy, self.held = accuracy, {}

    def __call__(self, candidate, split):
        key = (*candidate.items(), *(rows.tobytes() for rows in split))
        if key not in self.held:
            start = time.process_time()
            value = 100 * float(self.accuracy(candidate, *split))
            self.held[key] = value, time.process_time() - start
        return self.held[key]


def evaluate(table, candidates, accuracy):
    """Return accuracies on the four folds, for the (first) best candidate on the selecting split.

    `accuracy(candidate, split)` fits and scores a candidate: accuracy (%), processor seconds.
    """
    validation, choosing = zip(*(accuracy(c, table.select) for c in candidates), strict=True)
    best = candidates[int(np.argmax(validation))]
    folds, fitting = zip(*(accuracy(best, fold) for fold in table.folds), strict=True)
    return {
        "accuracy": float(np.mean(folds)),
        "folds": folds,
        "validation": max(validation),
        "chosen": best,
        "choosing_seconds": sum(choosing),
        "fold_seconds": sum(fitting),
    }


def svm_on(table, held):
    """Return a function that fits and scores a support vector machine on a network's kernel."""

    def accuracy(candidate, train, test):
        K = held[candidate["hidden"], candidate["frozen"]]
        model = SVC(C=candidate["C"], kernel="precomputed", max_iter=MAX_ITER)
        model.fit(K[np.ix_(train, train)], table.y[train])
        return model.score(K[np.ix_(test, train)], table.y[test])

    return Timed(accuracy)


def by_ridge(table):
    """Evaluate the package's own classifier, after a search for each number of frozen layers."""
    start = time.process_time()
    select = np.concatenate(table.select)
    split = [tuple(np.split(np.arange(len(select)), [len(table.select[0])]))]
    options = {"image_shape": (1, 1, table.X.shape[1]), "dtype": "float64", "n_jobs": 1}
    best = None
    for frozen in HIDDEN_LAYERS:
        depths = [hidden + 1 for hidden in HIDDEN_LAYERS if hidden >= frozen]
        search = CNTKClassifierCV(
            depths, (False,), alphas=ALPHAS, frozen_layers=frozen, cv=split, **options
        )
        search.fit(table.X[select], table.y[select])
        if best is None or search.best_score_ > best[0]:
            best = search.best_score_, {**search.best_params_, "frozen_layers": frozen}
    validation, chosen = best
    chosen_after = time.process_time()
    model = CNTKClassifier(**chosen, **options)
    folds = [
        100 * model.fit(table.X[train], table.y[train]).score(table.X[test], table.y[test])
        for train, test in table.folds
    ]
    return {
        "accuracy": float(np.mean(folds)),
        "folds": folds,
        "validation": 100 * validation,
        "chosen": chosen,
        "choosing_seconds": chosen_after - start,
        "fold_seconds": time.process_time() - chosen_after,
    }


def by_rival(table, estimator, grid):
    n_features = table.X.shape[1]

    def accuracy(candidate, train, test):
        parameters = dict(candidate)
        if "gamma × features" in parameters:
            parameters["gamma"] = parameters.pop("gamma × features") / n_features
        if "max_features / √features" in parameters:
            share = parameters.pop("max_features / √features") / n_features**0.5
            parameters["max_features"] = min(max(1, round(share * n_features)), n_features)
        model = clone(estimator).set_params(**parameters).fit(table.X[train], table.y[train])
        return model.score(table.X[test], table.y[test])

    return evaluate(table, list(ParameterGrid(grid)), Timed(accuracy))


def measure(path, name):
    """Evaluate all methods on one set, in one thread."""
    start, processor = time.perf_counter(), time.process_time()
    with np.load(path, allow_pickle=False) as file:
        table = Table(file, name)
    result = {}
    with threadpool_limits(1), warnings.catch_warnings():
        # From the largest C (see MAX_ITER), and from logistic regression with a tiny penalty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        held = grams(table.X)
        kernels = time.process_time() - processor
        by_svm = svm_on(table, held)
        for method, networks in KERNELS.items():
            candidates = [
                {"hidden": hidden, "frozen": frozen, "C": C}
                for (hidden, frozen), C in product(networks, COSTS)
            ]
            result[method] = evaluate(table, candidates, by_svm)
        del held, by_svm
        result[RIDGE] = by_ridge(table)
        for method, (estimator, grid) in RIVALS.items():
            result[method] = by_rival(table, estimator, grid)
    return {
        "rows": len(table.X),
        "features": table.X.shape[1],
        "classes": int(table.y.max()) + 1,
        "kernel_seconds": kernels,
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - processor,
        "methods": result,
    }


def accuracies(sets):
    """Return an array (sets, methods) of accuracies.

    They are rounded, so that folds with the same accuracies in a different order are a tie.
    """
    found = [[held["methods"][method]["accuracy"] for method in METHODS] for held in sets.values()]
    return np.array(found).round(9)


def summary(accuracy):
    """Return the rows of the table for accuracies (%) of shape (sets, methods).

    P90 and P95 are the percentages of sets on which a method reaches 90 % and 95 % of the best
    accuracy.  PMA is the mean percentage of the best accuracy.  Friedman's rank is the mean rank,
    where 1 is the best; methods with the same accuracy share a rank.
    """
    share = accuracy / accuracy.max(axis=1, keepdims=True)
    ranks = rankdata(-accuracy, axis=1)
    return [
        {
            "method": method,
            "mean accuracy": float(accuracy[:, k].mean()),
            "Friedman rank": float(ranks[:, k].mean()),
            "P90": 100 * float(np.mean(share[:, k] >= 0.9)),
            "P95": 100 * float(np.mean(share[:, k] >= 0.95)),
            "PMA": 100 * float(share[:, k].mean()),
            "best or tied": int(np.sum(share[:, k] == 1)),
        }
        for k, method in enumerate(METHODS)
    ]


def comparisons(accuracy):
    """Return Wilcoxon's signed-rank test over the sets, for every pair of methods."""
    rows = []
    for a, b in combinations(range(len(METHODS)), 2):
        difference = accuracy[:, a] - accuracy[:, b]
        rows.append(
            {
                "method": METHODS[a],
                "rival": METHODS[b],
                "mean difference": float(difference.mean()),
                "wins": int(np.sum(difference > 0)),
                "ties": int(np.sum(difference == 0)),
                "losses": int(np.sum(difference < 0)),
                "p": float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0,
            }
        )
    corrected = holm([row["p"] for row in rows])
    return [{**row, "p, Holm": p} for row, p in zip(rows, corrected, strict=True)]


def holm(p):
    """Return p-values, corrected by Holm's method for the number of tests."""
    order = np.argsort(p)
    scaled = np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = scaled.clip(max=1)
    return corrected.tolist()


def run(path, names, cells, n_jobs):
    """Return results by set; compute large ones first, so that none is left for the end."""
    with np.load(path, allow_pickle=False) as file:
        known = {key.split("/")[0] for key in file.files}
        unknown = sorted(set(names or ()) - known)
        if unknown:
            raise SystemExit(f"{path} has no set {', '.join(unknown)}.")
        names = sorted(names or known, key=lambda name: -len(file[f"{name}/y"]))

    def named(name):
        return name, measure(path, name)

    missing = [name for name in names if name not in cells.cells]
    found = Parallel(n_jobs, return_as="generator_unordered")(delayed(named)(n) for n in missing)
    for name, result in found:
        cells.get(name, lambda result=result: result)
    return {name: cells.get(name, None) for name in sorted(names)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the .npz file of the sets")
    parser.add_argument("--sets", nargs="+", help="names of sets to use instead of all")
    parser.add_argument("--checkpoint", help="JSON file of finished sets, to resume from")
    parser.add_argument("--json", type=Path, help="where to save the result")
    parser.add_argument("--n-jobs", type=int, default=-1, help="sets in parallel, up to 3 GB each")
    options = parser.parse_args()

    grids = {"NTK": NETWORKS, "C": COSTS, "alpha": ALPHAS}
    grids |= {method: grid for method, (_, grid) in RIVALS.items()}
    cells = Cells(options.checkpoint, {"grids": grids})
    sets = run(options.data, options.sets, cells, options.n_jobs)
    accuracy = accuracies(sets)
    rows = summary(accuracy)
    for row in rows:
        results = [held["methods"][row["method"]] for held in sets.values()]
        row["processor seconds"] = sum(r["choosing_seconds"] + r["fold_seconds"] for r in results)
        if row["method"] in KERNELS:  # for all networks, even those that the method does not use
            row["processor seconds"] += sum(held["kernel_seconds"] for held in sets.values())
    print_table(
        [{k: f"{v:.2f}" if isinstance(v, float) else v for k, v in r.items()} for r in rows]
    )
    if options.json:
        result = {
            "machine": describe_machine(),
            "grids": grids,
            "processor_seconds": sum(held["processor_seconds"] for held in sets.values()),
            "summary": rows,
            "comparisons": comparisons(accuracy),
            "sets": [
                {
                    "set": name,
                    **{key: held[key] for key in ("rows", "features", "classes")},
                    **{m: held["methods"][m]["accuracy"] for m in METHODS},
                }
                for name, held in sets.items()
            ],
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
