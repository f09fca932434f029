"""Search depth and pooling of an infinitely wide network on scikit-learn's
digits.

Cross-validates ten architectures with ``GridSearchCV``, compares the best one
with a tuned RBF SVM on held-out digits, and saves a plot.  The data come with
scikit-learn; nothing is downloaded.
"""

import argparse
import time
from math import sqrt
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    train_test_split,
)
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.plotting import DepthDisplay

# The deepest first: with `memory`, computing its kernel entries also stores
# those of the others.
DEPTHS = [11, 2, 3, 4, 6]
POOLING = {True: "global average pooling", False: "flattening"}


def search_architectures(X, y, folds, memory):
    """Cross-validate every depth and pooling on flattened images.

    Folds share their images: with a folder for `memory`, each pair is
    computed only once.
    """
    return GridSearchCV(
        CNTKClassifier(image_shape=(8, 8), memory=memory),
        {"depth": DEPTHS, "gap": list(POOLING)},
        cv=folds,
        verbose=1,
    ).fit(X, y)


def search_svm(X, y, folds):
    """Search C and gamma of an RBF SVM on the same pixels from 0 to 16."""
    grid = {"C": [0.3, 1, 3, 10], "gamma": [0.0003, 0.001, 0.003]}
    return GridSearchCV(SVC(), grid, cv=folds).fit(X, y)


def mean_and_std(search):
    """Return the cross-validated accuracy of the best candidate."""
    results, best = search.cv_results_, search.best_index_
    return results["mean_test_score"][best], results["std_test_score"][best]


def percent(value, error):
    return f"{100 * value:.2f} ± {100 * error:.2f}"


def plot(search, svm, path):
    """Plot means and standard deviations over folds, the SVM at the right."""
    mean, std = mean_and_std(svm)
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    gray = {"color": "0.4", "linewidth": 1.2}
    ax.axhline(mean, linestyle="--", **gray)
    diamond = {"fmt": "D", "markersize": 5, "capsize": 3, "label": "RBF SVM"}
    ax.errorbar(max(DEPTHS) + 1, mean, std, **diamond, **gray)
    display = DepthDisplay.from_estimator(search, ax=ax)
    ax.set_title("Infinitely wide networks on 8 × 8 digits")
    ax.set_ylabel("Cross-validated accuracy (%)")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=1, symbol=None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.get_legend().remove()
    title = {
        "title": "mean ± standard deviation over folds",
        "title_fontsize": "small",
    }
    figure.legend(loc="outside lower center", ncols=3, frameon=False, **title)
    figure.savefig(path, dpi=200)
    return display


def print_table(display, svm, name):
    print(
        "\nCross-validated accuracy (%), mean ± standard deviation over folds"
    )
    print(
        f"{'depth':>6}"
        + "".join(f"{pooling:>26}" for pooling in display.scores)
    )
    for depth, *rows in zip(
        display.depths, *display.scores.values(), strict=True
    ):
        cells = [percent(row.mean(), row.std()) for row in rows]
        print(f"{depth:>6}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"{name}: {percent(*mean_and_std(svm))}")


def compare(correct):
    """Print test accuracies and how certain their difference is.

    `correct` holds, by name of a model, whether it classifies each digit
    correctly.
    """
    (first, second), (a, b) = correct, correct.values()
    n = len(a)
    print(f"\nAccuracy on {n} test digits (%) ± its standard error")
    for name, right in correct.items():
        p = right.mean()
        print(f"  {name:<40}{percent(p, sqrt(p * (1 - p) / n))}")
    # Both are tested on the same digits: only those that differ count.
    difference = a.astype(int) - b
    gain, error = abs(difference.mean()), difference.std() / sqrt(n)
    text = f"  difference: {percent(gain, error)}"
    if gain <= error:
        print(f"{text}, within one standard error: a tie")
    else:
        ahead = (first if difference.sum() > 0 else second).split(",")[0]
        weak = " (weak evidence)" if gain < 2 * error else ""
        print(
            f"{text}, {gain / error:.1f} standard errors in favour of "
            f"the {ahead}{weak}"
        )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", default="digits_search.png", help="where to save the plot"
    )
    output = parser.parse_args(arguments).output

    start = time.perf_counter()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.4, random_state=0
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    svm = search_svm(X_train, y_train, folds)
    with TemporaryDirectory() as memory:
        search = search_architectures(X_train, y_train, folds, memory)
        correct = search.predict(X_test) == y_test

    best = search.best_params_
    cntk_name = f"CNTK, depth {best['depth']}, {POOLING[best['gap']]}"
    svm_name = "RBF SVM, " + ", ".join(
        f"{k}={v}" for k, v in svm.best_params_.items()
    )
    print_table(plot(search, svm, output), svm, svm_name)
    compare({cntk_name: correct, svm_name: svm.predict(X_test) == y_test})
    print(f"\n{time.perf_counter() - start:.0f} s; plot saved to {output}")


if __name__ == "__main__":
    main()
