"""Estimates of cost."""

import re

import numpy as np
import pytest
from scipy.linalg import cho_factor, eigh
from sklearn.model_selection import KFold, LeaveOneGroupOut, LeaveOneOut

from sklearn_cntk import CNTK, CNTKClassifier, CNTKClassifierCV, CNTKRegressor, CNTKRegressorCV
from sklearn_cntk._compute import cost as _cost
from sklearn_cntk._compute.tiles import vectors_of
from sklearn_cntk._engines.cpu.engine import CpuEngine
from sklearn_cntk._models import planning
from sklearn_cntk.networks import Activation, AvgPool, Conv, Network


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    """Nothing here depends on how exact they are."""
    monkeypatch.setattr(_cost, "_SECONDS", 0.02)


def test_estimate():
    cost = CNTK(6, image_shape=(8, 8)).estimate(1000)
    assert cost.pairs == 500_500
    assert cost.element_layers == 500_500 * 64**2 * 5
    assert cost.bytes == 8_000_000
    assert cost.seconds > 0
    assert re.fullmatch(
        r"about [\d.]+ (s|min) on (2 cores|.*): 500 500 pairs of images, 8 MB", str(cost)
    )
    trace = CNTK(6, gap=False, flip=True).estimate(10, 20, image_shape=(8, 8, 3))
    assert trace[:3] == (400, 400 * 64 * 5, 1600)
    assert str(trace).endswith(": 400 pairs of images, 1.6 kB")
    assert trace.seconds < cost.seconds
    with pytest.raises(ValueError, match="image_shape=None"):
        CNTK().estimate(10)
    with pytest.raises(ValueError, match="n_x=0 is too small"):
        CNTK(image_shape=(8, 8)).estimate(0)


@pytest.mark.parametrize("n_y", [None, 1, 16, 40])
@pytest.mark.parametrize("n_x", [1, 2, 16, 17, 100])
@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_vectors(n_x, n_y, lanes):
    """Those with a pair in the upper triangle, counted one by one."""
    n = n_x if n_y is None else n_y
    counted = 0
    for x in range(n_x):
        for start in range(0, n, lanes):
            counted += n_y is not None or x <= start + lanes - 1
    assert vectors_of(n_x, n_y, lanes) == counted


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", 16), ("float64", 8)])
def test_few_images_fill_no_vector(dtype, lanes, monkeypatch):
    """Nor do they occupy all workers."""
    monkeypatch.setattr(_cost, "measure", lambda job: (1e6, 0.01))
    monkeypatch.setattr("sklearn_cntk._engines.cpu.engine.VECTOR_BYTES", 64)
    kernel = CNTK(3, image_shape=(8, 8), dtype=dtype, n_jobs=2)
    vector = lanes * 64**2 * 2 / 1e6
    assert kernel.estimate(1).seconds == pytest.approx(2 * vector)  # one of two workers
    assert kernel.estimate(1, lanes).seconds == kernel.estimate(1).seconds
    assert kernel.estimate(5, 2).seconds == pytest.approx(2 * vector)  # as (2, 5)
    assert kernel.estimate(3, 5).seconds == pytest.approx(4 * vector)
    assert kernel.estimate(3 * lanes).seconds == pytest.approx(6 * lanes * vector)
    kernel.set_params(image_shape=(2, 1), gap=False)
    assert kernel.estimate(1).seconds == 0.01


@pytest.mark.parametrize("network", ["plain", "myrtle5"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (96, 96), (40, 500, 2), (32, 32), (5000,)])
def test_small_images_are_measured(shape, network):
    """A pair of large ones may take minutes."""
    if network == "myrtle5" and len(shape) == 1:
        pytest.skip("a signal has nothing left for its pools")
    shapes = set()

    class Engine(CpuEngine):
        def gram(self, X, Y, architecture, readouts, **options):
            shapes.add(X.shape[1:])
            return super().gram(X, Y, architecture, readouts, **options)

    kernel = CNTK(3, network=network, gap=False, image_shape=shape, device=Engine())
    assert kernel.estimate(10).element_layers == 55 * kernel.estimate(1).element_layers
    ((rows, columns, channels),) = shapes
    assert 512 <= rows * columns <= 1024
    assert channels == (shape[2] if len(shape) == 3 else 1)


def test_networks_that_need_large_images():
    """What is left of small ones is nothing: the images are measured as they are."""
    network = Network([Conv(), Activation("relu"), AvgPool(24), Conv(), Activation("relu")])
    assert CNTK(network=network, gap=False, image_shape=(24, 64)).estimate(2).seconds > 0


def test_workers():
    kernel = CNTK(3, image_shape=(4, 4))
    for n_jobs, expected in ((1, "1 core"), (3, "3 cores")):
        assert kernel.set_params(n_jobs=n_jobs).estimate(5).workers == expected


# --- Of estimators -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "pairs", "n_bytes"),
    [
        (CNTKClassifier(3), 5050, 80_000),
        (CNTKRegressor(3, flip=True), 10_100, 80_000),
        (CNTKClassifier(3, train_size=0.1), 55, 800),
        (CNTKClassifier(3, training_time=1.0), 5050, 80_000),
        (CNTKRegressor(3, solver="cg"), 5050, 80_000),
        (CNTKClassifier(3, solver="nystroem", n_components=7), 700, 5600),
    ],
)
def test_estimates_of_fits(model, pairs, n_bytes):
    cost = model.estimate(100, image_shape=(4, 4))
    assert (cost.pairs, cost.bytes) == (pairs, n_bytes)
    assert 0 < cost.seconds < 60


@pytest.mark.parametrize(
    ("options", "columns"), [({}, 100), ({"solver": "nystroem", "n_components": 7}, 7)]
)
def test_estimates_of_predictions(options, columns):
    cost = CNTKClassifier(3, image_shape=(4, 4), **options).estimate(100, 30)
    assert cost.pairs == 30 * columns


@pytest.mark.parametrize(
    ("cv", "factors"),
    [(None, 0), (4, 4), (KFold(5), 5), (LeaveOneOut(), 100), ([(range(50), range(50, 100))], 1)],
)
def test_estimates_of_searches(cv, factors, monkeypatch):
    """Linear algebra in seconds of its own: an eigendecomposition a kernel, or a factor a ridge."""
    done = []
    monkeypatch.setattr(
        planning, "algebra_seconds", lambda function, n: done.append((function, n)) or 1e4
    )
    search = CNTKRegressorCV(depths=(2, 3), gaps=(False,), alphas=(1, 2, 3), cv=cv, n_jobs=2)
    cost = search.estimate(100, image_shape=(4, 4))
    assert (cost.pairs, cost.bytes) == (5050, 160_000)
    rows = 100 - 100 // factors if factors > 1 else 1
    assert done == [(eigh, 100) if cv is None else (cho_factor, rows), (cho_factor, 100)]
    rounds = 1 if cv is None else 3 * factors  # two kernels, on two workers
    assert cost.seconds == pytest.approx(1e4 * (rounds + 1), rel=1e-2)


def test_a_search_takes_each_network_once():
    search = CNTKClassifierCV(networks=("plain", Network.plain(3, bias_variance=0.1)), depths=[3])
    cost = search.estimate(10, image_shape=(4, 4))
    assert cost.pairs == 110


def test_generators_of_splits_stay_whole():
    splits = KFold(3).split(np.zeros(12))
    with pytest.raises((TypeError, ValueError), match="cv is an iterator"):
        CNTKRegressorCV(cv=splits).estimate(12, image_shape=(4, 4))
    assert len(list(splits)) == 3


def test_algebra_is_measured_at_a_size_that_outlasts_other_work(monkeypatch):
    """On a clock of its own: 1e-10 s × rows³, and every other call waits for a millisecond."""
    now, sizes = [0.0], []

    def factor(matrix):
        sizes.append(len(matrix))
        now[0] += 1e-10 * len(matrix) ** 3 + 1e-3 * (len(sizes) % 2)

    monkeypatch.setattr(_cost.time, "perf_counter", lambda: now[0])
    assert _cost.algebra_seconds(factor, 10_000) == pytest.approx(100)
    assert set(sizes) == {300, 600, 1200}
    assert _cost.algebra_seconds(factor, 400) == pytest.approx(6.4e-3)
    assert max(sizes[-3:]) == 400


def test_a_fitted_model_knows_its_images():
    images = np.random.default_rng(0).normal(size=(6, 4, 4))
    model = CNTKRegressor(3).fit(images, images[:, 0, 0])
    assert model.estimate(100)[:3] == CNTKRegressor(3).estimate(100, image_shape=(4, 4))[:3]


def test_what_cannot_be_estimated():
    with pytest.raises(ValueError, match="image_shape=None: give the shape"):
        CNTKClassifier().estimate(10)
    with pytest.raises(ValueError, match="n_fit=0 is too small"):
        CNTKClassifierCV(image_shape=(4, 4)).estimate(0)
    with pytest.raises(TypeError, match=r"n_predict must be an integer, got \(4, 4\)"):
        CNTKClassifier().estimate(10, (4, 4))
    with pytest.raises(TypeError, match=r"n_fit must be an integer, got .{,40}ndarray"):
        CNTKClassifier().estimate(np.zeros((50, 4, 4)))
    with pytest.raises(ValueError, match="n_predict=0 is too small"):
        CNTKClassifier(image_shape=(4, 4)).estimate(10, 0)
    with pytest.raises(ValueError, match="needs n_components"):
        CNTKClassifier(image_shape=(4, 4), solver="nystroem").estimate(10)
    with pytest.raises(ValueError, match="cv=LeaveOneGroupOut.* estimate with a number of folds"):
        CNTKClassifierCV(image_shape=(4, 4), cv=LeaveOneGroupOut()).estimate(10)
    for parameters, message in (
        ({"solver": "foo"}, "solver='foo'"),
        ({"alpha": -1}, "alpha must be finite and at least 0"),
        ({"training_time": -1}, "training_time=-1"),
        ({"solver": "cg", "training_time": 1.0}, "training_time=1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            CNTKRegressor(image_shape=(4, 4), **parameters).estimate(10)
    for parameters in ({"alphas": []}, {"cv": []}, {"cv": "abc"}):
        with pytest.raises((TypeError, ValueError), match=next(iter(parameters))):
            CNTKRegressorCV(image_shape=(4, 4), **parameters).estimate(10)
