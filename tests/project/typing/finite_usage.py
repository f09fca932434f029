"""Typical use of ``sklearn_cntk.finite``, see ``usage.py``; PyTorch need not be installed."""

from typing import assert_type

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_cntk.finite import (
    CNNClassifier,
    CNNRegressor,
    ConvolutionalNetwork,
    EmpiricalCNTK,
    RandomCNTKFeatures,
)
from sklearn_cntk.networks import Network

images: NDArray[np.float64] = np.zeros((10, 8, 8))
labels = ["a", "b"] * 5


def networks() -> None:
    model = CNNClassifier(depth=3, width=64, lr="auto", tol=1e-3).fit(images, labels)
    assert_type(model, CNNClassifier)
    assert_type(model.network_, ConvolutionalNetwork)
    assert_type(model.loss_curve_, list[float])
    assert_type(CNNRegressor().fit(images, labels).predict(images), NDArray[np.float64])
    network = ConvolutionalNetwork((8, 8, 1), depth=3, n_outputs=10)
    CNNRegressor(network=Network.myrtle(5), frozen_layers=1).set_params(network__bias_variance=1)
    CNNRegressor(network=5)  # type: ignore[arg-type]
    assert_type(network.forward(torch.zeros(2, 1, 8, 8)), torch.Tensor)
    CNNClassifier(lr="fast")  # type: ignore[arg-type]


def kernels() -> None:
    assert_type(EmpiricalCNTK(depth=3, n_draws=8)(images), NDArray[np.float64])
    RandomCNTKFeatures(depth=3).fit(images).transform(images)
    EmpiricalCNTK(random_state=None)  # type: ignore[arg-type]
    EmpiricalCNTK(depht=3)  # type: ignore[call-arg]
    RandomCNTKFeatures(depht=3)  # type: ignore[call-arg]
