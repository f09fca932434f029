"""
How sure is a prediction?
=========================

A regressor can say how far to trust it, image by image: ``predict(X, return_std=True)``. Here
it learns by how many degrees a digit is turned, and is then shown pictures unlike those it has
seen.
"""

# %%
# Threes, turned
# --------------
# Each 3 of the digits is turned by a random angle of up to 45 degrees. With
# ``trained_layers="last"`` the standard deviation is that of a Gaussian process, whose prior has
# the kernel of the infinitely wide network; ``normalize=True`` gives every picture the same prior,
# however much ink it has.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from sklearn_cntk import CNTKRegressor

rng = np.random.default_rng(0)
digits = load_digits()


def turned(images, angles):
    """Images on a margin of two pixels, each turned by its angle (degrees)."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    pairs = zip(padded, angles, strict=True)
    return np.array([rotate(image, angle, reshape=False, order=1) for image, angle in pairs])


threes = rng.permutation(digits.images[digits.target == 3])
train, held_out, others = threes[:80], threes[80:110], threes[110:150]
angles = rng.uniform(-45, 45, 80)
model = CNTKRegressor(depth=5, gap=False, trained_layers="last", normalize=True, alpha=1e-3).fit(
    turned(train, angles), angles
)

# %%
# Standard deviations come in the unit of the targets, degrees: the prior is scaled so that the
# training targets are likeliest. On held-out threes they are about as large as the errors.

held_angles = rng.uniform(-45, 45, len(held_out))
mean, std = model.predict(turned(held_out, held_angles), return_std=True)
print("root mean square on held-out threes, in degrees: ", end="")
print(f"error {np.sqrt(np.mean((mean - held_angles) ** 2)):.1f}, ", end="")
print(f"standard deviation {np.sqrt(np.mean(std**2)):.1f}")

# %%
# Beyond what it has seen
# -----------------------
# Other threes at all angles. Outside of the shaded range, of which the model has seen nothing, its
# predictions are wrong and the bars grow. Far outside they do not reach the truth: a standard
# deviation says that a picture is unfamiliar, not how wrong the answer is.

true = np.linspace(-120, 120, len(others))
mean, std = model.predict(turned(others, true), return_std=True)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axvspan(-45, 45, color="0.92", label="angles in training")
ax.plot([-120, 120], [-120, 120], "k:", linewidth=1, label="truth")
ax.errorbar(true, mean, 2 * std, fmt="o", markersize=4, label="prediction ± 2 std")
ax.set(xlabel="true angle (degrees)", ylabel="predicted angle (degrees)")
ax.set_title("Turned threes")
ax.legend(loc="upper left")
plt.show()

# %%
# Other pictures
# --------------
# Upright pictures of other kinds: every digit that is no 3, and pixels in random order.

kinds = {"3": others}
kinds |= {str(k): digits.images[digits.target == k][:40] for k in (8, 9, 5, 2, 0, 1, 4)}
kinds["shuffled 3"] = rng.permuted(others.reshape(len(others), -1), axis=1).reshape(others.shape)
deviations = {}
for name, pictures in kinds.items():
    _, std = model.predict(turned(pictures, np.zeros(len(pictures))), return_std=True)
    deviations[name] = std
    print(f"{name:>10}: median standard deviation {np.median(std):5.1f} degrees")

figure, (ax, strip) = plt.subplots(
    2, 1, figsize=(7, 4.6), height_ratios=(4, 1), layout="constrained", sharex=True
)
ax.boxplot(list(deviations.values()), positions=range(len(kinds)), showfliers=False)
ax.set(ylabel="standard deviation (degrees)", title="Upright pictures of other kinds")
for position, pictures in enumerate(kinds.values()):
    box = (position - 0.4, position + 0.4, 0, 0.8)
    strip.imshow(pictures[0], cmap="gray_r", extent=box)
strip.set(xlim=(-0.6, len(kinds) - 0.4), ylim=(0, 0.8), yticks=[])
strip.set_xticks(range(len(kinds)), kinds)
plt.show()
