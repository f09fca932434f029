"""
Which images the kernel considers similar
=========================================

A kernel measures similarity, which can be inspected: which images are nearest
to a given one? In a pixel-wise comparison, a digit that has moved a little is
a different image.
"""

# %%
# Digits that are not centred
# ---------------------------
# Each digit is placed at a random position on a canvas of 12 × 12 pixels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import cosine_similarity

from sklearn_cntk import CNTK, CNTKClassifier
from sklearn_cntk.plotting import GramDisplay, NeighborsDisplay

rng = np.random.default_rng(0)
digits = load_digits()
chosen = rng.permutation(len(digits.images))[:400]
labels = digits.target[chosen]
images = np.zeros((len(chosen), 12, 12))
corners = rng.integers(0, 5, (len(chosen), 2))
for canvas, digit, (row, column) in zip(
    images, digits.images[chosen], corners, strict=True
):
    canvas[row : row + 8, column : column + 8] = digit

# %%
# Compare two measures of similarity: the cosine of the angle between two
# images as vectors of pixels, and the cosine in the feature space of an
# infinitely wide network with pooling, which is what ``normalize=True`` gives.

similarities = {
    "pixels": cosine_similarity(images.reshape(len(images), -1)),
    "CNTK": CNTK(depth=5, gap=True, normalize=True)(images),
}
nearest = {}
for name, S in similarities.items():
    np.fill_diagonal(S, -np.inf)  # an image is not its own neighbour
    nearest[name] = np.argsort(-S, axis=1)[:, :5]
    share = 100 * np.mean(labels[nearest[name]] == labels[:, None])
    print(
        f"{name:>6}: {share:.0f} % of the five nearest images "
        "show the same digit"
    )

# %%
# The picture
# -----------
# The first image of each class is on the left, next to its five nearest images
# by each measure. Red frames mark a different digit.

figure, axes = plt.subplots(10, 12, figsize=(8, 7), layout="constrained")
for digit, line in enumerate(axes):
    query = np.flatnonzero(labels == digit)[0]
    shown = [query, *nearest["pixels"][query], None, *nearest["CNTK"][query]]
    for ax, index in zip(line, shown, strict=True):
        ax.set(xticks=[], yticks=[])
        if index is None:
            ax.axis("off")
            continue
        ax.imshow(images[index], cmap="gray_r")
        wrong = labels[index] != digit
        ax.spines[:].set(
            color="C3" if wrong else "0.8", linewidth=2.5 if wrong else 0.8
        )
axes[0, 0].set_title("image")
axes[0, 3].set_title("nearest by pixels")
axes[0, 9].set_title("nearest by CNTK")
plt.show()

# %%
# The whole matrix
# ----------------
# Here are all similarities of the network with pooling, ordered by digit, and
# the eigenvalues of the matrix.

GramDisplay.from_kernel(
    CNTK(depth=5, gap=True, normalize=True), images, labels
)
plt.show()

# %%
# The terms of a prediction
# -------------------------
# A classifier adds up the similarities to its training images, each multiplied
# by a weight. Next to three other digits, the figure shows the training images
# with the largest terms: blue frames support the predicted digit, orange ones
# oppose it.

model = CNTKClassifier(depth=5, gap=True, normalize=True).fit(
    images[:-100], labels[:-100]
)
print(
    f"{100 * model.score(images[-100:], labels[-100:]):.0f} % "
    "of 100 digits are recognised"
)
NeighborsDisplay.from_estimator(model, images[-3:], y=labels[-3:])
plt.show()
