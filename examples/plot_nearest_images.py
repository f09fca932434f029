"""
What the kernel takes for similar
=================================

A kernel is a measure of similarity, and similarity can be looked at: which images are nearest
to a given one? To a comparison of pixels, a digit that is moved a little is another picture.
"""

# %%
# Digits that are not in the middle
# ---------------------------------
# Each digit is put somewhere on a canvas of 12 × 12 pixels.

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
for canvas, digit, (row, column) in zip(images, digits.images[chosen], corners, strict=True):
    canvas[row : row + 8, column : column + 8] = digit

# %%
# Two measures of similarity: the cosine of the angle between two images as vectors of pixels, and
# the same in the feature space of a pooled network of infinite width, which is what
# ``normalize=True`` gives.

similarities = {
    "pixels": cosine_similarity(images.reshape(len(images), -1)),
    "CNTK": CNTK(depth=5, gap=True, normalize=True)(images),
}
nearest = {}
for name, S in similarities.items():
    np.fill_diagonal(S, -np.inf)  # an image is not its own neighbour
    nearest[name] = np.argsort(-S, axis=1)[:, :5]
    share = 100 * np.mean(labels[nearest[name]] == labels[:, None])
    print(f"{name:>6}: {share:.0f} % of the five nearest images show the same digit")

# %%
# The picture
# -----------
# The first image of each class on the left, its five nearest by either measure beside it. Red
# frames mark another digit.

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
        ax.spines[:].set(color="C3" if wrong else "0.8", linewidth=2.5 if wrong else 0.8)
axes[0, 0].set_title("image")
axes[0, 3].set_title("nearest by pixels")
axes[0, 9].set_title("nearest by CNTK")
plt.show()

# %%
# The whole matrix
# ----------------
# All similarities of the pooled network at once, ordered by digit, and the eigenvalues of the
# matrix.

GramDisplay.from_kernel(CNTK(depth=5, gap=True, normalize=True), images, labels)
plt.show()

# %%
# What a prediction is made of
# ----------------------------
# A classifier adds up the similarities with its training images, with a weight each. Beside three
# other digits, the terms that are largest: blue frames speak for the predicted digit, orange ones
# against it.

model = CNTKClassifier(depth=5, gap=True, normalize=True).fit(images[:-100], labels[:-100])
print(f"{100 * model.score(images[-100:], labels[-100:]):.0f} % of 100 digits are recognised")
NeighborsDisplay.from_estimator(model, images[-3:], y=labels[-3:])
plt.show()
