"""
Learning curve: few images, and more
====================================

How much does each method make of ten images, of a hundred, of a thousand?  The exact kernel beside
the network of finite width that it is the limit of, and beside a support vector machine on pixels.
Needs PyTorch (``pip install "sklearn-cntk[finite]"``).
"""

# %%
# Three methods, settings fixed
# -----------------------------
# Ten images are too few to tune anything with, so nothing is tuned here, at any size: the kernel and
# the network share depth and pooling, and the SVM has scikit-learn's ``gamma="scale"`` and C = 10.

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.finite import CNNClassifier

methods = {
    "CNTK, depth 4, GAP": lambda draw: CNTKClassifier(4, True, alpha=1e-4),
    "CNTK, depth 4, flattening": lambda draw: CNTKClassifier(4, False, alpha=1e-4),
    "CNN of width 32, depth 4, flattening": lambda draw: CNNClassifier(
        4, False, width=32, batch_size=32, random_state=draw
    ),
    "SVM, RBF kernel": lambda draw: SVC(C=10),
}
sizes = [10, 30, 100, 300, 1000]
draws = 3

images, labels = load_digits().images / 16, load_digits().target
accuracy = {name: np.zeros((len(sizes), draws)) for name in methods}
seconds = dict.fromkeys(methods, 0.0)
for draw in range(draws):
    X, X_test, y, y_test = train_test_split(
        images, labels, train_size=max(sizes), random_state=draw, stratify=labels
    )
    for row, size in enumerate(sizes):
        if size < len(X):
            few, _, y_few, _ = train_test_split(
                X, y, train_size=size, random_state=draw, stratify=y
            )
        else:
            few, y_few = X, y
        for name, method in methods.items():
            flat = isinstance(method(draw), SVC)
            start = time.perf_counter()
            model = method(draw).fit(few.reshape(size, -1) if flat else few, y_few)
            test = X_test.reshape(len(X_test), -1) if flat else X_test
            accuracy[name][row, draw] = 100 * model.score(test, y_test)
            seconds[name] += time.perf_counter() - start

print("test accuracy (%), mean of", draws, "draws")
print(" " * 37, *(f"{size:>6}" for size in sizes), "  time")
for name, values in accuracy.items():
    print(f"{name:37}", *(f"{value:6.1f}" for value in values.mean(axis=1)), f"{seconds[name]:5.1f}s")

# %%
# The picture
# -----------
# Error on a logarithmic scale; bars are the standard deviation over three draws of training images.

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for name, values in accuracy.items():
    error = 100 - values
    ax.errorbar(sizes, error.mean(axis=1), error.std(axis=1, ddof=1), fmt="o-", label=name)
ax.set(xscale="log", yscale="log", xlabel="training images", ylabel="test error (%)")
ax.set_title("Digits, 8 × 8 pixels")
ax.set_xticks(sizes, sizes)
ax.set_yticks([1, 3, 10, 30], [1, 3, 10, 30])
ax.minorticks_off()
ax.legend()
plt.show()
