"""
How certain is a prediction?
============================

A regressor can estimate the uncertainty of each prediction: ``predict(X,
return_std=True)``. Here it learns by how many degrees a digit is rotated, and
then predicts for images unlike those it has seen.
"""

# %%
# Rotated threes
# --------------
# Each 3 among the digits is rotated by a random angle of up to 45 degrees.
# With ``trained_layers="last"``, the standard deviation is that of a Gaussian
# process whose prior covariance is the kernel of the infinitely wide network.
# ``normalize=True`` gives every image the same prior variance, however much
# ink it has.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from sklearn_cntk import CNTKRegressor

rng = np.random.default_rng(0)
digits = load_digits()


def turned(images, angles):
    """Pad images by two pixels and rotate each by its angle (degrees)."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    pairs = zip(padded, angles, strict=True)
    return np.array(
        [
            rotate(image, angle, reshape=False, order=1)
            for image, angle in pairs
        ]
    )


threes = rng.permutation(digits.images[digits.target == 3])
train, held_out, others = threes[:80], threes[80:110], threes[110:150]
angles = rng.uniform(-45, 45, 80)
model = CNTKRegressor(
    depth=5, gap=False, trained_layers="last", normalize=True, alpha=1e-3
).fit(turned(train, angles), angles)

# %%
# Standard deviations are in the unit of the targets, degrees: the prior is
# scaled to maximise the likelihood of the training targets. On held-out
# threes, they are about as large as the errors.

held_angles = rng.uniform(-45, 45, len(held_out))
mean, std = model.predict(turned(held_out, held_angles), return_std=True)
print("root mean square on held-out threes, in degrees: ", end="")
print(f"error {np.sqrt(np.mean((mean - held_angles) ** 2)):.1f}, ", end="")
print(f"standard deviation {np.sqrt(np.mean(std**2)):.1f}")

# %%
# Beyond the training data
# ------------------------
# Now predict for other threes at all angles. Outside the shaded range, where
# the model has seen no data, its predictions are wrong and the bars grow. Far
# outside, they do not reach the truth: a standard deviation shows that an
# image is unfamiliar, not how wrong the prediction is.

true = np.linspace(-120, 120, len(others))
mean, std = model.predict(turned(others, true), return_std=True)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axvspan(-45, 45, color="0.92", label="angles in training")
ax.plot([-120, 120], [-120, 120], "k:", linewidth=1, label="truth")
ax.errorbar(
    true, mean, 2 * std, fmt="o", markersize=4, label="prediction ± 2 std"
)
ax.set(xlabel="true angle (degrees)", ylabel="predicted angle (degrees)")
ax.set_title("Rotated threes")
ax.legend(loc="upper left")
plt.show()

# %%
# Other images
# ------------
# Here are upright images of other kinds: some of the other digits, and threes
# with their pixels in random order.

kinds = {"3": others}
kinds |= {
    str(k): digits.images[digits.target == k][:40]
    for k in (8, 9, 5, 2, 0, 1, 4)
}
kinds["shuffled 3"] = rng.permuted(
    others.reshape(len(others), -1), axis=1
).reshape(others.shape)
deviations = {}
for name, pictures in kinds.items():
    _, std = model.predict(
        turned(pictures, np.zeros(len(pictures))), return_std=True
    )
    deviations[name] = std
    print(
        f"{name:>10}: median standard deviation {np.median(std):5.1f} degrees"
    )

figure, (ax, strip) = plt.subplots(
    2,
    1,
    figsize=(7, 4.6),
    height_ratios=(4, 1),
    layout="constrained",
    sharex=True,
)
ax.boxplot(
    list(deviations.values()), positions=range(len(kinds)), showfliers=False
)
ax.set(
    ylabel="standard deviation (degrees)",
    title="Upright images of other kinds",
)
for position, pictures in enumerate(kinds.values()):
    box = (position - 0.4, position + 0.4, 0, 0.8)
    strip.imshow(pictures[0], cmap="gray_r", extent=box)
strip.set(xlim=(-0.6, len(kinds) - 0.4), ylim=(0, 0.8), yticks=[])
strip.set_xticks(range(len(kinds)), kinds)
plt.show()
