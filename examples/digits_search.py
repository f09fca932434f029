"""Search depth and pooling of an infinitely wide network on scikit-learn's digits.

Cross-validates ten architectures with ``GridSearchCV``, compares the best one with an RBF SVM on
held-out digits, and saves a plot.  The data come with scikit-learn: nothing is downloaded.
"""

import argparse
import time
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifier

DEPTHS = [2, 3, 4, 6, 11]
POOLING = {False: "flatten", True: "global average pooling"}


def search_architectures(X, y, folds, memory):
    """Cross-validate every depth and pooling; pixels are flattened rows, as in a data frame.

    Folds share their images: with a folder for `memory`, each pair of them is computed only once.
    """
    return GridSearchCV(
        CNTKClassifier(image_shape=(8, 8), memory=memory),
        {"gap": list(POOLING), "depth": DEPTHS},
        cv=folds,
        verbose=1,
    ).fit(X, y)


def search_svm(X, y, folds):
    """The usual strong baseline: an RBF SVM with C and gamma searched."""
    grid = {"svc__C": [1, 10, 100], "svc__gamma": [0.003, 0.01, 0.03]}
    return GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=folds).fit(X, y)


def scores_of(search, gap, key):
    """Column `key` of the cross-validation results over depth."""
    return search.cv_results_[key][search.cv_results_["param_gap"] == gap]


def print_table(search):
    print("\nCross-validated accuracy (%), mean and standard deviation over folds")
    print(f"{'depth':>6}" + "".join(f"{name:>26}" for name in POOLING.values()))
    for row, depth in enumerate(DEPTHS):
        cells = [
            f"{100 * scores_of(search, gap, 'mean_test_score')[row]:.2f} ± "
            f"{100 * scores_of(search, gap, 'std_test_score')[row]:.2f}"
            for gap in POOLING
        ]
        print(f"{depth:>6}" + "".join(f"{cell:>26}" for cell in cells))


def plot(search, svm_score, path):
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for gap, name in POOLING.items():
        mean = 100 * scores_of(search, gap, "mean_test_score")
        std = 100 * scores_of(search, gap, "std_test_score")
        (line,) = ax.plot(DEPTHS, mean, "o-", label=f"CNTK, {name}")
        ax.fill_between(DEPTHS, mean - std, mean + std, alpha=0.2, color=line.get_color())
    ax.axhline(100 * svm_score, color="gray", linestyle="--", label="RBF SVM")
    ax.set(xlabel="depth (layers)", ylabel="cross-validated accuracy (%)", xticks=DEPTHS)
    ax.set_title("Infinitely wide networks on 8 × 8 digits")
    ax.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="digits_search.png", help="where to save the plot")
    output = parser.parse_args().output

    start = time.perf_counter()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    svm = search_svm(X_train, y_train, folds)
    with TemporaryDirectory() as memory:
        search = search_architectures(X_train, y_train, folds, memory)
        cntk_score = search.score(X_test, y_test)
    print_table(search)

    best = search.best_params_
    print(f"\nTest accuracy on {len(y_test)} digits")
    print(f"  CNTK, depth {best['depth']}, {POOLING[best['gap']]}: {100 * cntk_score:.2f} %")
    parameters = ", ".join(f"{k.removeprefix('svc__')}={v}" for k, v in svm.best_params_.items())
    print(f"  RBF SVM, {parameters}: {100 * svm.score(X_test, y_test):.2f} %")

    plot(search, svm.best_score_, output)
    fits = len(search.cv_results_["params"]) * folds.n_splits
    print(f"\n{fits} fits in {time.perf_counter() - start:.0f} s; plot saved to {output}")


if __name__ == "__main__":
    main()
