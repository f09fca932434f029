"""
The parameters in pictures
==========================

What does each parameter of :class:`~sklearn_cntk.CNTK` change? A kernel says
how alike two images are, so the pictures below change an image step by step
and show how alike the kernel still finds it. All values are normalised, so 1
is the largest.
"""

# %%
# Readout: ``gap`` and ``lap``
# ----------------------------
# A digit is shifted to the right. Flattening (``gap=False``) compares pixels
# at the same place, so one pixel already matters. ``lap`` tolerates a few
# pixels. Global average pooling (``gap=True``) ignores the position as long as
# the digit stays clear of the edges.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKRegressor
from sklearn_cntk.networks import Network

digit = np.pad(load_digits().images[3], 8)
steps = np.arange(9)
shifted = np.stack([np.roll(digit, step, axis=1) for step in steps])

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].imshow(np.hstack([digit, shifted[4], shifted[8]]), cmap="gray_r")
axes[0].set(xticks=[], yticks=[], title="Shifted by 0, 4 and 8 pixels")
readouts = {
    "gap=True": {"gap": True},
    "gap=False, lap=2": {"gap": False, "lap": 2},
    "gap=False, lap=1": {"gap": False, "lap": 1},
    "gap=False": {"gap": False},
}
for label, readout in readouts.items():
    kernel = CNTK(depth=4, normalize=True, **readout)
    axes[1].plot(steps, kernel(shifted[:1], shifted)[0], "o-", label=label)
axes[1].set(
    xlabel="shift (pixels)",
    ylabel="kernel",
    ylim=(0, 1.05),
    title="Readouts, depth 4",
)
axes[1].legend()
plt.show()

# %%
# ``depth``, ``trained_layers`` and the activation
# ------------------------------------------------
# Rows of a table have no neighbouring pixels, so only their lengths and the
# angle between them matter. With depth the kernel becomes a narrow peak on a
# plateau. The NNGP kernel (``trained_layers="last"``) has no kink at angle 0,
# where the NTK of ReLU has one. Smooth activations remove it.

angles = np.linspace(-np.pi, np.pi, 181)
rows = np.column_stack([np.cos(angles), np.sin(angles)])
same = np.array([[1.0, 0.0]])
degrees = np.degrees(angles)


def curve(depth=4, **parameters):
    return CNTK(depth, normalize=True, dtype="float64", **parameters)(
        same, rows
    )[0]


figure, axes = plt.subplots(
    1, 3, figsize=(10, 3.4), layout="constrained", sharey=True
)
for depth in (2, 4, 8, 16):
    axes[0].plot(degrees, curve(depth), label=f"depth={depth}")
for trained in ("all", "hidden", "last"):
    axes[1].plot(degrees, curve(trained_layers=trained), label=f'"{trained}"')
for activation in ("relu", "gelu", "erf", "gaussian"):
    network = Network.plain(4, activation=activation)
    axes[2].plot(degrees, curve(network=network), label=activation)
for ax, title in zip(
    axes, ("Depth", "Trained layers", "Activation"), strict=True
):
    ax.set(
        xlabel="angle between rows (degrees)",
        title=title,
        xticks=np.arange(-180, 181, 90),
    )
    ax.legend(loc="lower center")
axes[0].set(ylabel="kernel", ylim=(-1.1, 1.1))
plt.show()

# %%
# ``bias_variance``, ``alpha`` and ``training_time``
# --------------------------------------------------
# Without biases a ReLU network is linear along every ray from zero: up to the
# intercept, a model of a single feature is a straight line on each side of
# zero. Biases let it bend anywhere. A larger ridge ``alpha`` or a shorter
# ``training_time`` keeps the model from following the noise.

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-3, 3, 40))[:, None]
y = np.sin(2 * x[:, 0]) + rng.normal(scale=0.2, size=40)
grid = np.linspace(-3.5, 3.5, 200)[:, None]

figure, axes = plt.subplots(
    1, 3, figsize=(10, 3.4), layout="constrained", sharey=True
)
for variance in (0.0, 0.01, 1.0):
    model = CNTKRegressor(4, bias_variance=variance, alpha=1e-2).fit(x, y)
    axes[0].plot(
        grid, model.predict(grid), label=f"bias_variance={variance:g}"
    )
for alpha in (1e-5, 1e-2, 1.0):
    model = CNTKRegressor(4, bias_variance=1.0, alpha=alpha).fit(x, y)
    axes[1].plot(grid, model.predict(grid), label=f"alpha={alpha:g}")
for time in (1, 100, np.inf):
    model = CNTKRegressor(
        4, bias_variance=1.0, alpha=1e-5, training_time=time
    ).fit(x, y)
    axes[2].plot(grid, model.predict(grid), label=f"training_time={time:g}")
for ax, title in zip(axes, ("Biases", "Ridge", "Training time"), strict=True):
    ax.plot(x, y, "k.", markersize=4)
    ax.set(xlabel="x", title=title, ylim=(-2.2, 2.2))
    ax.legend(loc="lower center", fontsize="small")
plt.show()
