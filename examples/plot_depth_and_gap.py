"""
Depth and pooling in one pass
=============================

How deep should an infinitely wide network be, and should it average the pixels
of its last layer (global average pooling, GAP) or flatten them? One pass of
:class:`~sklearn_cntk.CNTKClassifierCV` at the largest depth tries all
combinations.
"""

# %%
# Twenty-two networks
# -------------------
# The kernel of depth 12 is computed layer by layer, and each intermediate
# layer gives the kernel of a shallower network, so all networks together cost
# little more than the deepest alone. Each split trains on 100 digits, because
# with many more every network is nearly perfect.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

from sklearn_cntk import CNTKClassifierCV
from sklearn_cntk.plotting import DepthDisplay

images, labels = load_digits().images, load_digits().target
images, _, labels, _ = train_test_split(
    images, labels, train_size=500, random_state=0, stratify=labels
)
search = CNTKClassifierCV(
    depths=range(2, 13),
    gaps=(True, False),
    alphas=(1e-4,),
    cv=StratifiedShuffleSplit(5, train_size=100, random_state=0),
)
start = time.perf_counter()
search.fit(images, labels)
seconds = time.perf_counter() - start
print(
    f"{len(search.cv_results_['params'])} networks, 5 splits: {seconds:.1f} s"
)
print("best:", search.best_params_)

# %%
# The picture
# -----------
# :class:`~sklearn_cntk.plotting.DepthDisplay` draws any search over depth.
# Lines show the mean over the five splits, bands the standard deviation.
# Pooling is ahead at every depth; depth itself matters less.

display = DepthDisplay.from_estimator(search)
display.ax_.set_title("Infinitely wide networks, trained on 100 digits")
plt.show()

# %%
# From flattening to global pooling
# ---------------------------------
# Between the two lies local average pooling, over windows of radius ``lap``.
# One more pass compares all of them.

depths, readouts = range(2, 9), ["flattening", "lap=1", "lap=2", "GAP"]
search = CNTKClassifierCV(
    depths=depths,
    gaps=(False, True),
    laps=(1, 2),
    alphas=(1e-4,),
    cv=StratifiedShuffleSplit(5, train_size=100, random_state=0),
).fit(images, labels)
scores = np.empty((len(readouts), len(depths)))
results = search.cv_results_
for params, score in zip(
    results["params"], results["mean_test_score"], strict=True
):
    row = 3 if params["gap"] else params["lap"]
    scores[row, depths.index(params["depth"])] = 100 * score

figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
picture = ax.imshow(scores, aspect="auto")
for (row, column), score in np.ndenumerate(scores):
    dark = score < (scores.min() + scores.max()) / 2
    ax.text(
        column,
        row,
        f"{score:.1f}",
        ha="center",
        va="center",
        color="w" if dark else "k",
    )
ax.set_xticks(range(len(depths)), depths)
ax.set_yticks(range(len(readouts)), readouts)
ax.set(xlabel="depth", title="Mean accuracy (%) over five splits")
plt.show()
