"""
Myrtle networks: pooling between the convolutions
=================================================

Each average pooling between the convolutions leaves a quarter of the pixels to
the layers after it, and with global average pooling a sixteenth of the work.
This example plots accuracy against the time to compute the kernels, for plain
and Myrtle networks of the same depth.
"""

# %%
# Measuring time
# --------------
# Each model computes the kernel matrix of its training images, and that of the
# test images with the training images. The first call compiles, so it is not
# timed.

import os
import time

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter
from sklearn.datasets import load_digits

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import Network

NETWORKS = {"plain, depth 5": Network.plain(5), "Myrtle-5": Network.myrtle(5)}


def compare(X, y, X_test, y_test):
    """Print test accuracy (%) and plot it against seconds."""
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
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize="small")
    figure.tight_layout()
    plt.show()


# %%
# Digits
# ------
# Two poolings reduce 8×8 pixels to 2×2, so there is little time to save. Also,
# the positions of strokes distinguish the digits, and pooling discards these.

images, labels = load_digits().images / 16, load_digits().target
compare(images[:400], labels[:400], images[400:800], labels[400:800])

# %%
# Photographs
# -----------
# This part uses CIFAR-10 at half its resolution, if the environment variable
# ``SKLEARN_CNTK_DATA`` names a folder with its files (see
# :func:`~sklearn_cntk.datasets.load_cifar10`).


def halved(pictures):
    """Return images (n, 16, 16, 3) of the means of 2×2 pixels."""
    return pictures.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))


folder = os.environ.get("SKLEARN_CNTK_DATA")
if folder:
    data = load_cifar10(folder, n_train=150, n_test=200)
    compare(
        halved(data.X_train), data.y_train, halved(data.X_test), data.y_test
    )

# %%
# ``benchmarks/myrtle.py`` measures the accuracy of more networks on CIFAR-10,
# at full resolution and with whitened images.
