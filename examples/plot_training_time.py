"""
Early stopping by training time
===============================

The training of an infinitely wide network has a closed form at every time t,
so you can find the best time to stop after a single fit. If some training
labels are wrong, stopping early helps.
"""

# %%
# Three labels in ten are wrong
# -----------------------------
# The training set holds 300 digits, of which 30 % have a wrong label, chosen
# at random. ``staged_predict`` gives the predictions at any number of times,
# from one kernel matrix. Time 1 is 1 / (mean of the diagonal of the kernel
# matrix), whatever the depth.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cntk import CNTKClassifier

rng = np.random.default_rng(0)
images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8)
X, X_rest, y, y_rest = train_test_split(
    images, labels, train_size=300, random_state=0, stratify=labels
)
X_valid, y_valid, X_test, y_test = (
    X_rest[:300],
    y_rest[:300],
    X_rest[300:],
    y_rest[300:],
)


def mislabel(y, share):
    """Return labels of which a random share is replaced by other classes."""
    wrong = rng.random(len(y)) < share
    return np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)


noisy, noisy_valid = mislabel(y, 0.3), mislabel(y_valid, 0.3)
times = np.geomspace(0.01, 1e3, 31)
model = CNTKClassifier(depth=6, gap=False, training_time=1.0).fit(X, noisy)


def curve(X, y):
    """Return the accuracy (%) at every time."""
    return np.array(
        [
            100 * np.mean(predicted == y)
            for predicted in model.staged_predict(X, times)
        ]
    )


# %%
# When to stop
# ------------
# Choose the time on other images, whose labels are just as noisy.

choice = curve(X_valid, noisy_valid).argmax()
test = curve(X_test, y_test)
print(
    f"chosen time {times[choice]:.3g}: {test[choice]:.1f} % "
    f"of {len(y_test)} test images correct"
)
print(f"at the end, time {times[-1]:.3g}: {test[-1]:.1f} %")

# %%
# The picture
# -----------
# The network first learns what digits look like, and later the wrong labels.
# By the time it has memorised all of these, its test accuracy has dropped.

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.semilogx(
    times,
    curve(X, noisy),
    "--",
    color="0.6",
    label="training images, given labels",
)
ax.semilogx(
    times, curve(X, y), color="0.6", label="training images, true labels"
)
ax.semilogx(times, test, linewidth=2, label="test images, true labels")
ax.axvline(times[choice], color="C1", linestyle=":", label="chosen time")
ax.set(
    xlabel="training time t",
    ylabel="accuracy (%)",
    title="30 % of training labels are wrong",
)
ax.legend(loc="lower right")
plt.show()
