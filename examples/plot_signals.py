"""
Signals: convolutions in one dimension
======================================

A signal is an image of one row. Saito's cylinder, bell and funnel, three
shapes that start at random positions in noise, show the benefit of convolution
and pooling along the signal.
"""

# %%
# The signals
# -----------
# Between two random times, a cylinder is a plateau, a bell rises and a funnel
# falls, with random height and in noise of variance 1 (Saito, "Local feature
# extraction and its applications using a library of bases", 1994).

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.networks import Activation, AvgPool, Conv, Network

LENGTH = 64


def cylinder_bell_funnel(n, rng):
    """Return signals (n, LENGTH) and their classes, 0, 1 and 2."""
    labels = np.arange(n) % 3
    start = rng.uniform(8, 16, n)[:, np.newaxis]
    end = start + rng.uniform(16, 40, n)[:, np.newaxis]
    time = np.arange(LENGTH)
    shapes = [
        np.ones((n, LENGTH)),
        (time - start) / (end - start),
        (end - time) / (end - start),
    ]
    shape = np.choose(labels[:, np.newaxis], shapes)
    height = 6 + rng.normal(size=(n, 1))
    return height * shape * ((start <= time) & (time <= end)) + rng.normal(
        size=(n, LENGTH)
    ), labels


rng = np.random.default_rng(0)
X, y = cylinder_bell_funnel(60, rng)
X_test, y_test = cylinder_bell_funnel(300, rng)

figure, axes = plt.subplots(1, 3, figsize=(10, 2.5), sharey=True)
for label, name in enumerate(["cylinder", "bell", "funnel"]):
    axes[label].plot(X[y == label][:3].T, linewidth=1)
    axes[label].set_title(name)
figure.tight_layout()
plt.show()

# %%
# Models
# ------
# ``image_shape=(LENGTH,)`` declares that rows are signals; without it they are
# feature vectors, and the network is fully connected. The last model is a
# custom network with one-dimensional layers.

pools = Network(
    [
        *(Conv((1, 5)), Activation("relu"), AvgPool((1, 2))) * 3,
        Conv((1, 5)),
        Activation("relu"),
    ]
)
signal = {"image_shape": (LENGTH,)}
models = {
    "support vector machine": SVC(C=10),
    "fully connected": CNTKClassifier(depth=4),
    "convolutions": CNTKClassifier(
        depth=4, filter_size=5, gap=False, **signal
    ),
    "convolutions, GAP": CNTKClassifier(depth=4, filter_size=5, **signal),
    "convolutions, pools, GAP": CNTKClassifier(network=pools, **signal),
}
scores = {}
for name, model in models.items():
    scores[name] = (
        make_pipeline(StandardScaler(), model).fit(X, y).score(X_test, y_test)
    )
    print(f"{name}: {100 * scores[name]:.1f} %")

figure, axis = plt.subplots(figsize=(7, 2.5))
axis.barh(list(scores), [100 * score for score in scores.values()])
axis.set_xlabel("test accuracy (%)")
axis.invert_yaxis()
figure.tight_layout()
plt.show()
