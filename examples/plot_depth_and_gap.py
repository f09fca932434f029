"""
Depth and pooling in one pass
=============================

How deep should an infinitely wide network be, and should it average the pixels of its last
layer (global average pooling, GAP) or flatten them? One pass of
:class:`~sklearn_cntk.CNTKClassifierCV` at the largest depth tries all.
"""

# %%
# Twenty-two networks
# -------------------
# The kernel of depth 12 is computed layer by layer, and each layer on the way is the kernel of a
# shallower network: the networks below cost little more than the deepest alone. Each fold trains
# on 100 digits, because with many more every network is nearly perfect.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

from sklearn_cntk import CNTKClassifierCV

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
print(f"{len(search.cv_results_['params'])} networks, 5 folds: {time.perf_counter() - start:.1f} s")
print("best:", search.best_params_)

# %%
# The picture
# -----------
# Lines are means over the five folds, bands their standard deviation. Pooling is ahead at every
# depth; depth itself matters less.

results = search.cv_results_
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for gap, name in ((True, "global average pooling"), (False, "flattening")):
    rows = np.asarray(results["param_gap"] == gap)
    depth = results["param_depth"][rows].astype(int)
    mean = 100 * results["mean_test_score"][rows]
    std = 100 * results["std_test_score"][rows]
    ax.plot(depth, mean, "o-", label=name)
    ax.fill_between(depth, mean - std, mean + std, alpha=0.2)
ax.set(xlabel="depth (layers)", ylabel="cross-validated accuracy (%)", xticks=depth)
ax.set_title("Infinitely wide networks, trained on 100 digits")
ax.legend()
plt.show()
