"""
Myrtle networks: pools between the convolutions
===============================================

Average pools between the convolutions leave what follows a quarter of the pixels, and with global
average pooling a sixteenth of the work. Accuracy over the time that kernels take, for plain and
Myrtle networks of the same depth.
"""

# %%
# A measure
# ---------
# Each model computes the kernel of its training images and that of its test images with them. The
# first call compiles, so it does not count.

import os
import time

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import Network

NETWORKS = {"plain, depth 5": Network.plain(5), "Myrtle-5": Network.myrtle(5)}


def compare(X, y, X_test, y_test):
    """Print and plot test accuracy (%) over seconds."""
    figure, axis = plt.subplots(figsize=(6, 3.5))
    for name, network in NETWORKS.items():
        for gap in (False, True):
            model = CNTKClassifier(network=network, gap=gap, alpha=1e-3)
            model.fit(X[:20], y[:20]).predict(X[:2])
            start = time.perf_counter()
            accuracy = 100 * model.fit(X, y).score(X_test, y_test)
            seconds = time.perf_counter() - start
            label = f"{name}, {'GAP' if gap else 'flattened'}"
            print(f"{label:28} {accuracy:5.1f} %   {seconds:6.2f} s")
            axis.plot(seconds, accuracy, "o" if gap else "s", label=label)
    axis.set(xscale="log", xlabel="seconds", ylabel="test accuracy (%)")
    axis.legend(fontsize="small")
    figure.tight_layout()
    plt.show()


# %%
# Digits
# ------
# Of 8×8 pixels two pools leave 2×2, so there is little to save, and where its strokes lie says
# which digit it is, which pools forget.

images, labels = load_digits().images / 16, load_digits().target
compare(images[:400], labels[:400], images[400:800], labels[400:800])

# %%
# Photographs
# -----------
# CIFAR-10 at half its resolution, if there is a folder of its files (see
# :func:`~sklearn_cntk.datasets.load_cifar10`) in the variable ``SKLEARN_CNTK_DATA``.


def halved(pictures):
    """Pictures (n, 16, 16, 3) of the means of 2×2 pixels."""
    return pictures.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))


folder = os.environ.get("SKLEARN_CNTK_DATA")
if folder:
    data = load_cifar10(folder, n_train=150, n_test=200)
    compare(halved(data.X_train), data.y_train, halved(data.X_test), data.y_test)

# %%
# Accuracy of more networks on CIFAR-10, at full resolution and with whitened images, is measured by
# ``benchmarks/myrtle.py``.
