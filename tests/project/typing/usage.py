"""Typical use as a type checker sees it; ``test_typing.py`` has mypy check it, nothing runs it.

Lines with ``type: ignore`` are mistakes that have to be found: mypy reports an unused one.
"""

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from sklearn_cntk import (
    CNTK,
    CNTKClassifier,
    CNTKClassifierCV,
    CNTKRegressor,
    CNTKRegressorCV,
    KernelStore,
    clear_memory,
    cntk_path,
    gram_progress,
    gram_to_zarr,
)
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.plotting import (
    DepthDisplay,
    GramDisplay,
    NeighborsDisplay,
    OcclusionDisplay,
    TrainSizeDisplay,
)
from sklearn_cntk.preprocessing import ImageStandardizer, PatchFeatures, ZCAWhitening

images: NDArray[np.float32] = np.zeros((10, 8, 8), dtype=np.float32)
labels: list[str] = ["a", "b"] * 5
values = np.arange(10.0)


def kernel() -> None:
    cntk = CNTK(depth=4, gap=False, image_shape=(8, 8), trained_layers="last", memory="entries")
    assert_type(cntk(images), NDArray[np.float64])
    assert_type(cntk(images, images[:2]), NDArray[np.float64])
    K, gradient = cntk(images, eval_gradient=True)
    assert_type(gradient, NDArray[np.float64])
    assert_type(cntk.diag(images), NDArray[np.float64])
    assert_type(cntk.estimate(1000, image_shape=(8, 8)).seconds, float)
    CNTK(depth="four")  # type: ignore[arg-type]
    CNTK(dtype="float16")  # type: ignore[arg-type]
    CNTK(trained_layers="first")  # type: ignore[arg-type]
    CNTK(dept=4)  # type: ignore[call-arg]
    CNTK(4, True, 1)  # type: ignore[call-arg]


def classifier() -> None:
    model = CNTKClassifier(depth=3, train_size=0.5, random_state=0, solver="cg")
    assert_type(model.fit(images, labels), CNTKClassifier)
    assert_type(model.predict(images), NDArray[Any])
    assert_type(model.decision_function(images), NDArray[np.float64])
    assert_type(model.staged_predict(images, [1.0, None]), Iterator[NDArray[Any]])
    assert_type(model.dual_coef_, NDArray[np.float64])
    assert_type(model.kernel_, CNTK)
    assert_type(model.image_shape_, tuple[int, int, int])
    assert_type(model.classes_, NDArray[Any])
    CNTKClassifier(solver="svd")  # type: ignore[arg-type]
    CNTKClassifier(alpha=None)  # type: ignore[arg-type]


def regressor() -> None:
    model = CNTKRegressor(3, False, alpha=1e-3, training_time=10).fit(images, values)
    assert_type(model, CNTKRegressor)
    assert_type(model.predict(images), NDArray[np.float64])
    mean, std = model.predict(images, return_std=True)
    assert_type(std, NDArray[np.float64])
    mean, cov = model.predict(images, return_cov=True)
    assert_type(cov, NDArray[np.float64])
    assert_type(model.sample_y(images, 3), NDArray[np.float64])
    assert_type(model.staged_predict(images, (1, 2)), Iterator[NDArray[np.float64]])


def searches() -> None:
    search = CNTKClassifierCV(depths=range(2, 7), gaps=(True, False), cv=3).fit(images, labels)
    assert_type(search, CNTKClassifierCV)
    assert_type(search.best_estimator_, CNTKClassifier)
    assert_type(search.best_params_, dict[str, Any])
    assert_type(search.best_score_, float)
    other = CNTKRegressorCV(alphas=[1e-3], fit_intercept=False).fit(images, values)
    assert_type(other.best_estimator_, CNTKRegressor)
    assert_type(other.predict(images), NDArray[np.float64])
    CNTKClassifierCV(depths=3)  # type: ignore[arg-type]


def paths_and_stores() -> None:
    grams, readouts = cntk_path(images, depths=[3, 6], gap=(True,), trained_layers=("all", "last"))
    assert_type(grams, NDArray[np.float64])
    assert_type(CNTK(**readouts[0])(images), NDArray[np.float64])
    assert_type(clear_memory(KernelStore("entries", max_bytes=10**9)), int)
    gram_to_zarr(CNTK(), images, store="gram", dtype="float32")
    assert_type(gram_progress("gram").done, int)
    clear_memory(3)  # type: ignore[arg-type]


def data() -> None:
    bunch = load_cifar10("folder", n_train=2000)
    white = ZCAWhitening(regularization=0.1).fit(bunch.X_train)
    assert_type(white, ZCAWhitening)
    assert_type(white.transform(bunch.X_train), NDArray[np.float64])
    ZCAWhitening(reg_covar=1e-3)
    assert_type(ImageStandardizer().fit(images).mean_, NDArray[np.float64])
    patches = PatchFeatures(64, (3, 2), pool_size=2, strides=(1, 2), random_state=0).fit(images)
    assert_type(patches, PatchFeatures)
    assert_type(patches.transform(images), NDArray[Any])
    assert_type(patches.filters_, NDArray[np.float64])
    CNTK(image_shape=patches.output_shape_)
    PatchFeatures(patch_size="6")  # type: ignore[arg-type]
    PatchFeatures(64, 6, 9)  # type: ignore[call-arg]


def displays() -> None:
    search = CNTKClassifierCV().fit(images, labels)
    depth = DepthDisplay.from_estimator(search)
    assert_type(depth, DepthDisplay)
    assert_type(depth.plot(std_display_style=None), DepthDisplay)
    DepthDisplay.from_cv_results(search.cv_results_, line_kw={"color": "black"})
    sizes = TrainSizeDisplay.from_estimator(search, images, labels, train_sizes=(10, 0.5), cv=3)
    assert_type(sizes, TrainSizeDisplay)
    gram = GramDisplay.from_kernel(CNTK(), images, labels)
    assert_type(gram.eigenvalues, NDArray[np.float64])
    neighbors = NeighborsDisplay.from_estimator(search, images, n_neighbors=3, y=labels)
    assert_type(neighbors.contributions, NDArray[np.float64])
    occlusion = OcclusionDisplay.from_estimator(search, images, fill=[0.5], class_of_interest="a")
    assert_type(occlusion.maps, NDArray[np.float64])
    assert_type(occlusion.plot(image_kw={"cmap": "PuOr"}), OcclusionDisplay)
    depth.plot(std_display_style="bars")  # type: ignore[arg-type]
    OcclusionDisplay.from_estimator(search, images, response_method="predict")  # type: ignore[arg-type]
