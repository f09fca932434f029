"""
Learning curve: from 10 to 1000 images
======================================

How accurate is each method with ten images, a hundred, or a thousand? This
example compares the exact kernel with the finite-width network whose limit it
is, and with a support vector machine on pixels. It needs PyTorch (``pip
install "sklearn-cntk[finite]"``).
"""

# %%
# Four methods with fixed settings
# --------------------------------
# Ten images are too few to tune anything, so nothing is tuned here, at any
# size: the kernel and the network share depth and pooling, and the SVM has
# scikit-learn's ``gamma="scale"`` and C = 10. With ``memory``, the kernel of
# every pair of images is computed only once for all sizes and splits.

import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from sklearn.utils import resample

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.finite import CNNClassifier

torch.set_num_threads(
    1
)  # for such small networks, threads cost more time than they save
folder = tempfile.TemporaryDirectory()


def cntk(gap):
    return CNTKClassifier(
        4, gap, alpha=1e-4, image_shape=(8, 8), memory=folder.name
    )


def cnn(seed):
    return CNNClassifier(
        4,
        False,
        width=32,
        batch_size=16,
        image_shape=(8, 8),
        random_state=seed,
    )


def some(y, size, seed):
    """Return `size` random rows, keeping the class proportions."""
    rows = np.arange(len(y))
    return resample(
        rows, replace=False, n_samples=size, random_state=seed, stratify=y
    )


methods = {
    "CNTK, depth 4, GAP": lambda split: cntk(gap=True),
    "CNTK, depth 4, flattening": lambda split: cntk(gap=False),
    "CNN, depth 4, flattening, width 32": cnn,
    "SVM, RBF kernel": lambda split: SVC(C=10),
}
sizes, splits = [10, 30, 100, 300, 1000], 3
accuracy = {name: np.zeros((len(sizes), splits)) for name in methods}
seconds = dict.fromkeys(methods, 0.0)
images, labels = load_digits(return_X_y=True)
images, labels = images[:1300] / 16, labels[:1300]
for split in range(splits):
    X, X_test, y, y_test = train_test_split(
        images, labels, test_size=300, random_state=split, stratify=labels
    )
    for row, size in enumerate(sizes):
        few = some(y, size, split)
        for name, method in methods.items():
            start = time.perf_counter()
            model = method(split).fit(X[few], y[few])
            accuracy[name][row, split] = 100 * model.score(X_test, y_test)
            seconds[name] += time.perf_counter() - start
folder.cleanup()

print("test accuracy (%), mean of", splits, "splits")
print(" " * 34, *(f"{size:>6}" for size in sizes), "  time")
for name, values in accuracy.items():
    print(
        f"{name:34}",
        *(f"{value:6.1f}" for value in values.mean(axis=1)),
        f"{seconds[name]:5.1f}s",
    )

# %%
# The picture
# -----------
# The error is on a logarithmic scale; bars show the standard deviation over
# three random splits. With flattening, the kernel is about as accurate as the
# SVM; pooling is what makes the difference. The finite network is less
# accurate than its limit.

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for name, values in accuracy.items():
    error = 100 - values
    ax.errorbar(
        sizes,
        error.mean(axis=1),
        error.std(axis=1, ddof=1),
        fmt="o-",
        label=name,
    )
ax.set(
    xscale="log",
    yscale="log",
    xlabel="training images",
    ylabel="test error (%)",
)
ax.set_title("Digits, 8 × 8 pixels")
ax.set_xticks(sizes, sizes)
ax.set_yticks([1, 3, 10, 30], [1, 3, 10, 30])
ax.minorticks_off()
ax.legend()
plt.show()
