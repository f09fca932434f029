"""
Displacement planes: why depth is cheap
=======================================

The kernel value of two images is computed from the covariances of every pixel
of one image with every pixel of the other. Sorted by the displacement between
the two pixels, these covariances form planes that never mix. This package is
built on that fact.
"""

# %%
# All pairs of pixels
# -------------------
# An entry [i, j, i', j'] belongs to the displacement (i' − i, j' − j). Here
# are the 256 entries for two images of 4 × 4 pixels as a matrix, coloured by
# displacement: the hue shows its direction, and larger displacements are
# paler. Zero displacement is black.

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK

side = 4
i, j, i2, j2 = np.indices((side, side, side, side))
down, right = i2 - i, j2 - j
n_planes = len(np.unique(np.stack([down, right]).reshape(2, -1), axis=1).T)

direction = np.arctan2(down, right) / (2 * np.pi) % 1
far = np.hypot(down, right) / np.hypot(side, side)
colours = hsv_to_rgb(
    np.stack([direction, 1.1 - far, np.where(far > 0, 0.95, 0)], axis=-1).clip(
        0, 1
    )
)
figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.imshow(colours.reshape(side**2, side**2, 3))
for line in range(side, side**2, side):
    ax.axhline(line - 0.5, color="white", linewidth=1)
    ax.axvline(line - 0.5, color="white", linewidth=1)
ax.set(
    xlabel="pixel of the second image, row by row",
    ylabel="pixel of the first image, row by row",
)
ax.set_title(f"{side**4} entries, {n_planes} displacements")
plt.show()

# %%
# Planes never mix
# ----------------
# A layer does two things to the covariance. It applies a function to each
# entry (and to the two images' own variances), and it sums over the window of
# the filter, which moves both pixels together and so keeps their displacement.
# Here is the recursion for filters of 3 × 3 pixels:


def window_sum(T):
    """Sum T[i+a, j+b, i'+a, j'+b] over |a|, |b| ≤ 1, with zero padding."""
    padded = np.pad(T, 1)
    parts = [slice(a, a + side) for a in range(3)]
    return sum(padded[a, b, a, b] for a in parts for b in parts)


def kappas(correlation):
    """Return the arc-cosine functions of degree 0 and 1."""
    angle = np.arccos(np.clip(correlation, -1, 1))
    zero = 1 - angle / np.pi
    return zero, correlation * zero + np.sin(angle) / np.pi


def recursion(T, scales):
    """Return the last layer's entries from products T of pixels."""
    covariance = tangent = window_sum(T)
    for scale in scales:
        zero, one = kappas(covariance / scale)
        K = scale * one / 9
        U = zero / 9 * tangent + K
        covariance, tangent = window_sum(K), window_sum(U)
    return U


def deviations(x, layers):
    """Yield the standard deviations of the pixels, layer by layer."""
    T = np.multiply.outer(x, x)
    for _ in range(layers):
        variance = window_sum(T)
        d = np.sqrt(np.einsum("ijij->ij", variance))
        yield d
        # Entries off the diagonal are not needed.
        T = np.where((down == 0) & (right == 0), variance / 9, 0)


rng = np.random.default_rng(0)
x, y = rng.random((2, side, side))
scales = [
    np.multiply.outer(s, t)
    for s, t in zip(deviations(x, 3), deviations(y, 3), strict=True)
]
T = np.multiply.outer(x, y)
U = recursion(T, scales)

# %%
# Now change one plane of the input, that of displacement (1, 0), and run the
# recursion again.

changed = recursion(np.where((down == 1) & (right == 0), 0.5 * T, T), scales)
moved = changed != U
displacements = set(
    zip(down[moved].tolist(), right[moved].tolist(), strict=True)
)
print("displacements of the entries that changed:", displacements)

# %%
# The sum over the plane (0, 0) is the kernel with flattening, and the mean of
# all entries is the kernel with global average pooling:

for gap, value in ((False, np.einsum("ijij->", U)), (True, U.mean())):
    ours = CNTK(depth=4, gap=gap, dtype="float64")(x[None], y[None])[0, 0]
    print(f"gap={gap!s:5}  these lines {value:.12f}   CNTK {ours:.12f}")

# %%
# What each pooling needs
# -----------------------
# Each square is one displacement between two 8 × 8 images; its colour shows
# the number of entries in the plane. Flattening needs only the plane in the
# middle. Local average pooling (LAP) of radius c needs the planes of
# displacements up to 2c pixels. Global average pooling needs all of them.

side = 8
distance = np.abs(np.arange(-side + 1, side))
size = np.multiply.outer(side - distance, side - distance)
reach = {
    "flattening": 0,
    "LAP, radius 1": 2,
    "LAP, radius 2": 4,
    "GAP": side - 1,
}
figure, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
entries = {}
for ax, (name, far) in zip(axes, reach.items(), strict=True):
    needed = np.maximum.outer(distance, distance) <= far
    entries[name], planes = size[needed].sum(), needed.sum()
    planes = f"{planes} planes" if planes > 1 else "1 plane"
    extent = (-side + 0.5, side - 0.5, side - 0.5, -side + 0.5)
    picture = ax.imshow(
        np.where(needed, size, np.nan), vmin=0, vmax=side**2, extent=extent
    )
    ax.set(title=f"{name}\n{planes}\n{entries[name]} entries", xlabel="j' − j")
    ax.set(xticks=[-6, -3, 0, 3, 6], yticks=[-6, -3, 0, 3, 6])
axes[0].set_ylabel("i' − i")
figure.colorbar(picture, ax=axes, label="entries in the plane")
plt.show()

# %%
# The resulting cost
# ------------------
# Seconds for the kernel of 200 digits at depth 6, against the number of
# entries per pair.

images = load_digits().images[:200]
parameters = {"flattening": {"gap": False}, "GAP": {"gap": True}}
parameters |= {f"LAP, radius {c}": {"gap": False, "lap": c} for c in (1, 2)}


def seconds(kernel):
    """Return the time of the fastest of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        kernel(images)
        times.append(time.perf_counter() - start)
    return min(times)


figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, count in entries.items():
    kernel = CNTK(depth=6, **parameters[name])
    kernel(images[:2])  # compiles
    duration = seconds(kernel)
    print(f"{name:14} {count:5} entries per pair  {duration:7.4f} s")
    ax.plot(count, duration, "o", markersize=9, label=name)
ax.plot([0, count], [0, duration], ":", color="gray", label="proportional")
ax.set(
    xlabel="entries per pair of images",
    ylabel="seconds for 200 images",
    title="Cost of pooling",
)
ax.set(xlim=(0, None), ylim=(0, None))
ax.legend()
plt.show()
