"""
Gaussian processes: variances as hyperparameters
================================================

An infinitely wide network with random weights is a Gaussian process. The data
can determine the variances of its weights and biases: scikit-learn's
``GaussianProcessRegressor`` maximises their likelihood.
"""

# %%
# Why biases
# ----------
# Without biases a ReLU network is homogeneous: as a function of one variable,
# it consists of two straight lines that meet at 0. ``trained_layers="last"``
# gives the kernel of the random network (NNGP).

import matplotlib.pyplot as plt
import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from sklearn_cntk import CNTK

grid = np.linspace(-3, 3, 200)[:, np.newaxis]
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharex=True)
for axis, variance in zip(axes, [0.0, 0.1, 3.0], strict=True):
    kernel = CNTK(3, trained_layers="last", bias_variance=variance)
    prior = GaussianProcessRegressor(kernel)
    axis.plot(grid, prior.sample_y(grid, 6, random_state=0), linewidth=1)
    axis.set_title(f"bias_variance={variance}")
figure.suptitle("Random networks")
figure.tight_layout()
plt.show()

# %%
# The likelihood chooses
# ----------------------
# ``bias_variance_bounds`` and ``weight_variance_bounds`` turn the variances
# into hyperparameters. Here the noisy observations leave a gap, and the
# posterior shows how little it knows there.

rng = np.random.default_rng(0)
X = np.concatenate([rng.uniform(-3, -0.5, 25), rng.uniform(1, 3, 25)])[
    :, np.newaxis
]
y = np.sin(2.5 * X[:, 0]) + 0.3 * X[:, 0] + rng.normal(scale=0.1, size=50)

kernel = CNTK(
    3,
    trained_layers="last",
    bias_variance=1.0,
    bias_variance_bounds=(1e-3, 1e3),
    weight_variance=2.0,
    weight_variance_bounds=(0.1, 100.0),
)
process = GaussianProcessRegressor(
    kernel + WhiteKernel(0.01), n_restarts_optimizer=1, random_state=0
)
process.fit(X, y)
print(process.kernel_)
print(
    f"log marginal likelihood {process.log_marginal_likelihood_value_:.1f}, "
    "at the start "
    f"{process.log_marginal_likelihood(process.kernel.theta):.1f}"
)

mean, deviation = process.predict(grid, return_std=True)
figure, axis = plt.subplots(figsize=(7, 3.5))
axis.fill_between(
    grid[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.2
)
axis.plot(grid, mean, label="posterior mean, and two standard deviations")
axis.plot(
    grid,
    np.sin(2.5 * grid[:, 0]) + 0.3 * grid[:, 0],
    "k--",
    linewidth=1,
    label="truth",
)
axis.plot(X, y, "k.", markersize=4)
axis.legend()
figure.tight_layout()
plt.show()
