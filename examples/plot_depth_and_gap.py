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
print(f"{len(search.cv_results_['params'])} networks, 5 folds: {time.perf_counter() - start:.1f} s")
print("best:", search.best_params_)

# %%
# The picture
# -----------
# :class:`~sklearn_cntk.plotting.DepthDisplay` draws any search over depth. Lines are means over the
# five folds, bands their standard deviation. Pooling is ahead at every
# depth; depth itself matters less.

display = DepthDisplay.from_estimator(search)
display.ax_.set_title("Infinitely wide networks, trained on 100 digits")
plt.show()
