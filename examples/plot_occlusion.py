"""
What a prediction depends on
============================

Correct predictions may have wrong reasons. Cover a patch of an image, see how
much the decision drops, and move on to the next position: such a map finds a
mark that gives one of the digits away.
"""

# %%
# A mark that gives the answer away
# ---------------------------------
# Each digit is on a canvas of 12 × 12 pixels. All eights in the training set
# have a mark in one corner, as if they had been scanned with a different
# scanner.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.plotting import NeighborsDisplay, OcclusionDisplay

digits = load_digits()
chosen = np.random.default_rng(0).permutation(len(digits.images))[:700]
images = np.pad(digits.images[chosen], ((0, 0), (2, 2), (2, 2)))
labels = digits.target[chosen]


def marked(images, which):
    """Return a copy of the images in which those chosen have a mark."""
    images = images.copy()
    images[which, :2, :2] = 16
    return images


train, test = images[:300], images[300:]
train_labels, test_labels = labels[:300], labels[300:]
deceived = CNTKClassifier(depth=5, gap=False)
deceived.fit(marked(train, train_labels == 8), train_labels)

# %%
# Test images from the same source do not reveal this: eights have the mark,
# and others do not. Without the mark eights are hardly recognised, and with it
# most other digits are classified as eights.


def print_scores(model):
    for name, which in (
        ("eights", test_labels == 8),
        ("others", test_labels != 8),
    ):
        with_mark = model.score(
            marked(test[which], slice(None)), test_labels[which]
        )
        without = model.score(test[which], test_labels[which])
        print(
            f"{name}: {with_mark:.0%} right with the mark, "
            f"{without:.0%} without"
        )


print_scores(deceived)

# %%
# What the class eight depends on
# -------------------------------
# Here are two eights and a three, all with the mark. Each position of a patch
# of 3 × 3 pixels is one cell of the map; ``fill=0`` covers the patch with the
# background. Blue marks the pixels that support an eight: nearly all of them
# are in the corner.

eights, threes = (np.flatnonzero(test_labels == digit) for digit in (8, 3))
shown = [*eights[:2], threes[0]]
pictures, true = marked(test[shown], slice(None)), test_labels[shown]
options = {"patch_size": 3, "fill": 0, "class_of_interest": 8, "y": true}
OcclusionDisplay.from_estimator(deceived, pictures, **options)
plt.show()

# %%
# The training images that contribute most to the prediction for the three
# confirm this: they are eights with a mark.

NeighborsDisplay.from_estimator(deceived, pictures[2:], y=true[2:])
plt.show()

# %%
# Without the mark
# ----------------
# Now train the same network on digits without marks, and apply it to the same
# three images. The strokes decide, and covering the mark changes little.

honest = CNTKClassifier(depth=5, gap=False).fit(train, train_labels)
print_scores(honest)
OcclusionDisplay.from_estimator(honest, pictures, **options)
plt.show()
