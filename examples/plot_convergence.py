"""
Finite networks approach the kernel
===================================

The gradient of a random network's output with respect to its weights defines a
kernel. The wider the network, the closer this random kernel is to the exact
one. This example needs PyTorch (``pip install "sklearn-cntk[finite]"``).
"""

# %%
# Sixty random networks per width
# -------------------------------
# :class:`~sklearn_cntk.finite.EmpiricalCNTK` is the kernel of one random
# network of a chosen width, :class:`~sklearn_cntk.CNTK` the exact kernel of
# infinite width. We measure the distance between them, relative to the size of
# the exact kernel, on the central 4 × 4 pixels of eight digits, centred to
# mean 0.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK
from sklearn_cntk.finite import EmpiricalCNTK

torch.set_num_threads(
    1
)  # for such small networks, threads cost more time than they save
images = load_digits().images[:8, 2:6, 2:6]
images -= images.mean(axis=(1, 2), keepdims=True)
widths = [16, 32, 64, 128, 256]
poolings = {True: "global average pooling", False: "flattening"}

errors = {}
for gap in poolings:
    exact = CNTK(depth=3, gap=gap, dtype="float64")(images)
    for width in widths:
        networks = (
            EmpiricalCNTK(3, gap, width=width, random_state=seed)
            for seed in range(60)
        )
        errors[gap, width] = [
            np.linalg.norm(network(images) - exact) / np.linalg.norm(exact)
            for network in networks
        ]

# %%
# The slope
# ---------
# Random fluctuations shrink like one over the square root of the width: a line
# of slope −1/2 on logarithmic axes. Each dot is one network; the lines show
# the root mean square.

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for color, (gap, name) in enumerate(poolings.items()):
    values = np.array([errors[gap, width] for width in widths])
    error = np.sqrt(np.mean(values**2, axis=1))
    slope = np.polyfit(np.log(widths), np.log(error), 1)[0]
    print(
        f"{name}: slope {slope:.2f}, "
        f"error {100 * error[-1]:.1f} % at width {widths[-1]}"
    )
    shifted = np.array(widths) * (
        0.95 if gap else 1.05
    )  # so that dots do not hide each other
    ax.plot(shifted, values, ".", color=f"C{color}", markersize=3, alpha=0.4)
    ax.plot(
        shifted,
        error,
        "o-",
        color=f"C{color}",
        label=f"{name}, slope {slope:.2f}",
    )
start = 2 * error[0]
ax.plot(
    widths,
    start * np.sqrt(widths[0] / np.array(widths)),
    "k:",
    label="slope −1/2",
)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="width (channels)",
    ylabel="relative error of the kernel",
)
ax.set_xticks(widths, widths)
ax.minorticks_off()
ax.set_title("Kernels of random networks of depth 3")
ax.legend()
plt.show()
