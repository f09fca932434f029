"""
Search a pipeline for its architecture
======================================

Preprocessing, depth, pooling and the number of training images are parameters
of one pipeline, so :class:`~sklearn.model_selection.GridSearchCV` can search
over them as in any other pipeline.
"""

# %%
# Thirty-six candidates
# ---------------------
# ``memory`` is a folder that keeps kernel entries. The deepest candidates come
# first and also store the entries of the shallower ones, which the search then
# reads. A transformer that learns from its fold changes the pixels, so entries
# are shared within a fold but not between folds.

import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import Pipeline

from sklearn_cntk import CNTKClassifier
from sklearn_cntk.plotting import TrainSizeDisplay
from sklearn_cntk.preprocessing import ImageStandardizer, ZCAWhitening

images, labels = load_digits().images, load_digits().target
images, _, labels, _ = train_test_split(
    images, labels, train_size=300, random_state=0, stratify=labels
)
grid = {
    "prepare": [ImageStandardizer(), ZCAWhitening()],
    "cntk__gap": [True, False],
    "cntk__depth": [6, 4, 3],
    "cntk__train_size": [100, 50, 25],
}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
with tempfile.TemporaryDirectory() as folder:
    cntk = CNTKClassifier(alpha=1e-4, memory=folder, random_state=0)
    pipeline = Pipeline([("prepare", ImageStandardizer()), ("cntk", cntk)])
    start = time.perf_counter()
    search = GridSearchCV(pipeline, grid, cv=folds).fit(images, labels)
    print(f"{len(search.cv_results_['params'])} candidates, 3 folds: ", end="")
    print(f"{time.perf_counter() - start:.1f} s")
print("best:", search.best_params_)

# %%
# What the search saw
# -------------------
# :class:`~sklearn_cntk.plotting.TrainSizeDisplay` draws the mean accuracy over
# the folds against the number of training images, with one line per
# architecture. Here the colour of a line is changed to show its pooling, and
# its style to show its depth. More images help every network. Whitening, which
# is meant for natural images, hurts here: it amplifies pixels that hardly
# vary, such as those at the edges of the digits, towards the level of the
# others.

COLOURS = {"global average pooling": "C0", "flattening": "C1"}
STYLES = {"depth 6": "-", "depth 4": "--", "depth 3": ":"}

figure, axes = plt.subplots(
    1, 2, figsize=(9, 4), sharey=True, layout="constrained"
)
for ax, step in zip(axes, (ImageStandardizer, ZCAWhitening), strict=True):
    rows = [
        isinstance(candidate["prepare"], step)
        for candidate in search.cv_results_["params"]
    ]
    results = {
        name: np.asarray(column)[rows]
        for name, column in search.cv_results_.items()
    }
    display = TrainSizeDisplay.from_cv_results(
        results, ax=ax, scorer_name="accuracy", std_display_style=None
    )
    for line in display.lines_:
        depth, pooling = line.get_label().split(", ")
        line.set(color=COLOURS[pooling], linestyle=STYLES[depth], marker="o")
    ax.set_title(step.__name__)
axes[0].get_legend().remove()  # one for both
axes[1].set_ylabel("")
axes[1].legend(fontsize="small", loc="lower right")
plt.show()
