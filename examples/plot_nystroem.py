"""
Landmarks: fewer kernel values
==============================

The kernel matrix of n images has n² entries. The Nyström method needs only the
kernel between all images and a few of them, the landmarks. How many are
enough?
"""

# %%
# Two ways to the same idea
# -------------------------
# scikit-learn's :class:`~sklearn.kernel_approximation.Nystroem` computes
# explicit features from any kernel, for use with any linear model.
# ``CNTKClassifier(solver="nystroem")`` itself performs kernel regression on
# the landmarks.

import time

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_cntk import CNTK, CNTKClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=800, test_size=300, random_state=0, stratify=y
)
shape = (8, 8)
kernel = CNTK(depth=3, normalize=True, image_shape=shape)


def fit_and_score(model):
    """Return the seconds of fitting and the test accuracy (%)."""
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    return seconds, 100 * model.score(X_test, y_test)


def pipeline(m):
    """Return explicit features from m landmarks and a linear model."""
    features = Nystroem(kernel=kernel, n_components=m, random_state=0)
    return make_pipeline(features, RidgeClassifier(alpha=1e-3))


def solver(m):
    """Return kernel regression on m landmarks."""
    return CNTKClassifier(
        3,
        normalize=True,
        image_shape=shape,
        solver="nystroem",
        n_components=m,
        random_state=0,
    )


CNTKClassifier(3, normalize=True, image_shape=shape).fit(
    X_train[:20], y_train[:20]
)  # compiles
landmarks = [10, 25, 50, 100, 200]
results = {
    "Nystroem + RidgeClassifier": [
        fit_and_score(pipeline(m)) for m in landmarks
    ],
    'CNTKClassifier(solver="nystroem")': [
        fit_and_score(solver(m)) for m in landmarks
    ],
}
exact = fit_and_score(CNTKClassifier(3, normalize=True, image_shape=shape))
for name, pairs in results.items():
    for m, (seconds, accuracy) in zip(landmarks, pairs, strict=True):
        print(
            f"{name:34} {m:4} landmarks  {seconds:5.2f} s  {accuracy:5.1f} %"
        )
print(
    f"{'exact':34} {len(X_train):4} images     "
    f"{exact[0]:5.2f} s  {exact[1]:5.1f} %"
)

# %%
# The picture
# -----------
# Time grows in proportion to the number of landmarks. The exact kernel needs
# only half of its symmetric matrix, so landmarks save time as long as they are
# far fewer than half of the images.

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for (name, pairs), style in zip(results.items(), ("o-", "s--"), strict=True):
    for ax, values in zip(axes, zip(*pairs, strict=True), strict=True):
        ax.plot(landmarks, values, style, label=name)
for ax, value in zip(axes, exact, strict=True):
    ax.axhline(value, color="gray", linestyle=":", label="exact kernel")
    ax.set(xscale="log", xlabel="landmarks")
    ax.set_xticks(landmarks, landmarks)
    ax.minorticks_off()
axes[0].set(
    ylabel="seconds of fitting", title=f"{len(X_train)} training images"
)
axes[1].set(ylabel="test accuracy (%)", title=f"{len(X_test)} test images")
axes[1].legend()
plt.show()
