"""Linear systems on a GPU: on the host, through CuPy with NumPy in its place, and on real GPUs."""

import sys
import threading
import tracemalloc
import warnings

import cuda_host
import numpy as np
import pytest
from pretended_cupy import pretend_gpus
from scipy.linalg import LinAlgError, LinAlgWarning
from scipy.linalg.lapack import dpocon

from sklearn_cntk import CNTK, CNTKClassifier, CNTKRegressor
from sklearn_cntk._engines.cuda import devices as _devices
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._linalg import gpu_ridge
from sklearn_cntk._linalg.gpu_ridge import DeviceMatrix, _solve, needed_bytes, roomy_device
from sklearn_cntk._linalg.ridge import ridge_dual


def definite(rng, n, smallest=1e-3):
    """A positive definite matrix with known extreme eigenvalues."""
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return (Q * np.geomspace(smallest, 1, n)) @ Q.T


def on_device(device, K, tile=5, panel=7):
    """K in tiles of its upper triangle."""
    matrix = DeviceMatrix(device, len(K), panel)
    for i in range(0, len(K), tile):
        for j in range(i, len(K), 3 * tile):
            rows, columns = slice(i, min(i + tile, len(K))), slice(j, min(j + 3 * tile, len(K)))
            matrix.add(rows, columns, np.triu(K[rows, columns], i - j))
    return matrix


@pytest.fixture
def gpus(fresh_devices, monkeypatch, host_device):
    """Two GPUs through CuPy, with NumPy in its place."""
    return pretend_gpus(monkeypatch, host_device(shared_bytes=99 * 1024))


# --- the matrix ---------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", [1, 6, 7, 20, 21, 64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(20,), (20, 3)])
def test_equals_the_host(cuda_devices, panel, weighted, shape, rng):
    K, targets = definite(rng, 20), rng.normal(size=shape)
    weights = rng.integers(0, 3, size=20).astype(float) if weighted else None
    dual = _solve(on_device(cuda_devices[0], K, panel=panel), targets, 1e-3, weights)
    assert isinstance(dual, np.ndarray)
    assert dual.shape == shape
    expected = ridge_dual(K.copy(), targets, 1e-3, weights)
    np.testing.assert_allclose(dual, expected, rtol=1e-9, atol=1e-12 * abs(expected).max())
    both = _solve(on_device(cuda_devices[0], K, panel=panel), targets, 1e-3, weights, True)
    np.testing.assert_array_equal(both[0], dual)
    _, left_out = ridge_dual(K.copy(), targets, 1e-3, weights, return_left_out=True)
    np.testing.assert_allclose(both[1], left_out, rtol=1e-9, atol=1e-11)


def test_factor_and_norm(cuda_devices, rng):
    K = definite(rng, 23)
    matrix = on_device(cuda_devices[0], K)
    np.testing.assert_allclose(matrix.norm(), np.linalg.norm(K, 1), rtol=1e-14)
    np.testing.assert_array_equal(matrix.diagonal(), K.diagonal())
    matrix.factor()
    lower = np.zeros_like(K)
    with matrix.device:
        for start, panel in matrix.panels:
            lower[start:, start : start + panel.shape[1]] = matrix.device.download(panel)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(K), rtol=1e-12, atol=1e-13)


def test_half_of_the_matrix_is_kept(host_device):
    n = 3 * gpu_ridge.PANEL
    matrix = DeviceMatrix(host_device(), n)
    kept = sum(panel.nbytes for _, panel in matrix.panels)
    assert kept == 8 * n**2 * 2 / 3
    assert needed_bytes(n) == kept + 2 * matrix.panels[0][1].nbytes
    # 50 000 rows fit into a GPU of 16 GB, and no panel has 2³¹ entries.
    assert needed_bytes(50_000) < 14e9
    assert 10**6 * gpu_ridge.PANEL < 2**31


@pytest.mark.parametrize("row", [2, 9, 19])
def test_not_positive_definite(cuda_devices, row, rng):
    K = definite(rng, 20)
    K[row, row] = -1
    with pytest.raises(LinAlgError, match="alpha=0.001 is not positive definite. Set alpha to"):
        _solve(on_device(cuda_devices[0], K), np.ones(20), 1e-3, None)


def test_nan_is_no_solution(cuda_devices, rng):
    K = definite(rng, 20)
    K[12, 3] = K[3, 12] = np.nan
    with pytest.raises(LinAlgError, match="not positive definite"):
        _solve(on_device(cuda_devices[0], K), np.ones(20), 1e-3, None)


def test_nearly_singular(cuda_devices, rng):
    K = np.diag(np.geomspace(1, 1e-17, 20))
    with pytest.warns(LinAlgWarning, match="alpha=0 is nearly singular.*Set alpha to 1e-05"):
        _solve(on_device(cuda_devices[0], K), np.ones(20), 0, None)
    with pytest.warns(LinAlgWarning, match="nearly singular"):
        _solve(on_device(cuda_devices[0], np.array([[1.0, 0], [0, 1e-17]])), np.ones(2), 0, None)


@pytest.mark.parametrize("smallest", [1e-3, 1e-9, 1e-13])
def test_condition_is_that_of_lapack(host_device, monkeypatch, smallest, rng):
    K = definite(rng, 40, smallest)
    found = []
    monkeypatch.setattr(
        gpu_ridge, "warn_if_nearly_singular", lambda rcond, *a, **k: found.append(rcond)
    )
    _solve(on_device(host_device(), K), np.ones(40), 0, None)
    expected, _ = dpocon(np.linalg.cholesky(K).T, np.linalg.norm(K, 1), uplo="U")
    assert found[0] == pytest.approx(expected, rel=1e-2)


# --- through the estimators ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "weighted"),
    [({}, True), ({"flip": True}, False), ({"normalize": True, "flip": True}, True)]
    + [({"memory": True}, False)],
)
def test_estimators_solve_there(gpus, options, weighted, tmp_path, rng):
    X, y = rng.normal(size=(33, 2, 2, 1)), rng.integers(0, 3, size=33)
    if "memory" in options:
        options = {"memory": str(tmp_path)}
    weights = rng.uniform(0.5, 2, size=33) if weighted else None
    settings = {"depth": 3, "dtype": "float64", "n_jobs": 2, "alpha": 1e-3, **options}
    host = CNTKClassifier(device="cpu", **settings).fit(X, y, weights)
    for solver in ("auto", "cholesky"):
        model = CNTKClassifier(device="cuda", solver=solver, **settings).fit(X, y, weights)
        np.testing.assert_allclose(model.dual_coef_, host.dual_coef_, rtol=1e-8, atol=1e-11)
        assert model.n_iter_ == 1
        assert model.temperature_ == pytest.approx(host.temperature_, rel=1e-6)
    np.testing.assert_allclose(
        model.decision_function(X[:5]), host.decision_function(X[:5]), atol=1e-9
    )


@pytest.mark.parametrize("options", [{}, {"normalize": True, "flip": True}, {"memory": True}])
def test_in_narrow_panels(host_device, options, tmp_path, rng):
    """From images to dual coefficients, with a matrix of several panels and tiles."""
    X, targets = rng.normal(size=(33, 2, 2, 1)), rng.normal(size=(33, 3))
    if "memory" in options:
        options = {"memory": str(tmp_path)}
    device = host_device()
    options = options | {"depth": 3, "dtype": "float64", "n_jobs": 2}
    job = CNTK(device=CudaEngine([device]), **options)._job(X)
    dual = gpu_ridge.ridge_dual_on_device(device, job, X, targets, 1e-3, panel=7)
    expected = ridge_dual(CNTK(device="cpu", **options)(X), targets, 1e-3)
    np.testing.assert_allclose(dual, expected, rtol=1e-8, atol=1e-11)


class SmallTiles(CudaEngine):
    def limits(self, travelling):
        return super().limits(travelling)._replace(side=32)


def test_the_host_never_holds_the_matrix(host_device, rng):
    """Neither by the Gram matrix nor by the solver; the pretended GPU's arrays are NumPy's."""
    X, y = rng.normal(size=(300, 1, 2, 1)), rng.normal(size=300)
    device = host_device()
    job = CNTK(depth=2, gap=False, device=SmallTiles([device]), n_jobs=1)._job(X)

    def solve():
        return gpu_ridge.ridge_dual_on_device(device, job, X, y, 1e-3, panel=32)

    solve()  # imports and compilers
    on_the_gpu = []
    zeros = device.zeros
    device.zeros = lambda shape: on_the_gpu.append(np.prod(shape) * 8) or zeros(shape)
    tracemalloc.start()
    solve()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(on_the_gpu) > 8 * 300**2 / 2
    assert peak - sum(on_the_gpu) < 0.7 * 8 * 300**2


def test_messages_of_the_estimators(gpus, capsys, rng):
    X, y = rng.normal(size=(20, 3, 3, 1)), rng.normal(size=20)
    model = CNTKRegressor(depth=3, device="cuda:1", verbose=1).fit(X, y)
    assert "20 rows is solved on cuda:1 (Pretended GPU)" in capsys.readouterr().out
    with pytest.raises(LinAlgError, match="alpha=0 is not positive definite"):
        model.set_params(alpha=0).fit(np.concatenate([X, -X, X]), [*y] * 3)


def test_what_stays_on_the_host(gpus, monkeypatch, capsys, rng):
    """Eigenvectors, other solvers, and what does not fit: said with verbose."""
    X, y = rng.normal(size=(20, 3, 3, 1)), rng.normal(size=20)

    def never(matrix):
        raise AssertionError

    monkeypatch.setattr(DeviceMatrix, "factor", never)
    settings = {"depth": 3, "device": "cuda", "dtype": "float64", "n_jobs": 1}
    expected = CNTKRegressor(**settings | {"device": "cpu"}).fit(X, y).dual_coef_
    CNTKRegressor(training_time=1.0, **settings).fit(X, y)
    model = CNTKRegressor(solver="cg", tol=1e-12, **settings).fit(X, y)
    np.testing.assert_allclose(model.dual_coef_, expected, rtol=1e-6)
    gpus.cuda.Device(0).__class__.mem_info = 2000, 2**31
    for solver in ("auto", "cholesky"):
        model = CNTKRegressor(solver=solver, verbose=1, **settings).fit(X, y)
        np.testing.assert_allclose(model.dual_coef_, expected, rtol=1e-6)
        found = capsys.readouterr().out
        assert "20 rows is solved on the host: 8.9e-06 GiB are needed, 1.9e-06 GiB of" in found
    assert roomy_device("cuda", 1000, verbose=1) is None
    assert "1000 rows is solved on the host: 0.0" in capsys.readouterr().out
    assert roomy_device("cpu", 10, verbose=1) is None
    assert not capsys.readouterr().out


def test_without_cublas(gpus, monkeypatch, capsys):
    assert roomy_device("cuda", 10) is not None
    monkeypatch.delattr(sys.modules["cupy_backends.cuda.libs"], "cusolver")
    assert roomy_device("cuda", 10, verbose=1) is None
    assert "cuBLAS or cuSOLVER is missing (cannot import name 'cusolver'" in capsys.readouterr().out


def test_out_of_memory_says_what_would_work(host_device, monkeypatch, rng):
    device = host_device()

    def zeros(shape):
        raise device.OutOfMemoryError("no 3 GB")

    monkeypatch.setattr(device, "zeros", zeros)
    with pytest.raises(MemoryError, match=r"host ran out of memory .* 5 rows \(no 3 GB\).*'cg'"):
        gpu_ridge.solve_on_device(device, np.eye(5), np.ones(5), 0)


# --- on a GPU -----------------------------------------------------------------------------------


@pytest.mark.gpu
def test_large_system(rng):
    """Several panels of the usual width."""
    try:
        (device, *_) = _devices.open_devices(None)
    except RuntimeError as error:
        pytest.skip(str(error))
    n = 5000
    F = rng.normal(size=(n, 200))
    K = F @ F.T + np.eye(n)
    targets = rng.normal(size=(n, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dual = _solve(on_device(device, K, tile=1000, panel=gpu_ridge.PANEL), targets, 1e-3, None)
    expected = ridge_dual(K.copy(), targets, 1e-3)
    np.testing.assert_allclose(dual, expected, rtol=1e-8, atol=1e-10 * abs(expected).max())


def test_host_device_offers_what_the_gpu_does():
    """The two devices have one interface."""
    public = {name for name in vars(_devices.CupyDevice) if not name.startswith("_")}
    assert public <= set(vars(cuda_host.HostDevice))


def test_the_matrix_does_not_wait_for_tiles(gpus, rng):
    """It has a stream and a lock of its own, so tiles are added while others are computed."""
    engine_device = _devices.CupyDevice(0)
    K = definite(rng, 12)
    matrix = DeviceMatrix(engine_device, 12, panel=5)
    added = threading.Event()

    def add():
        matrix.add(slice(0, 12), slice(0, 12), np.triu(K))
        added.set()

    with engine_device:
        thread = threading.Thread(target=add)
        thread.start()
        assert added.wait(60)
    thread.join()
    np.testing.assert_array_equal(matrix.diagonal(), K.diagonal())
    # CuPy keeps freed memory for the stream that had it: the next matrix has the same one.
    assert DeviceMatrix(engine_device, 3).device is matrix.device is not engine_device


def test_pieces_that_are_uploaded_are_small(host_device, monkeypatch, rng):
    """Of a matrix on the host: CuPy keeps the pinned memory of the largest one."""
    device, sizes = host_device(), []
    upload = device.upload
    monkeypatch.setattr(device, "upload", lambda a: sizes.append(np.size(a)) or upload(a))
    K, targets = definite(rng, 40), rng.normal(size=40)
    dual = gpu_ridge.solve_on_device(device, K, targets, 1e-3, panel=7)
    np.testing.assert_allclose(dual, ridge_dual(K.copy(), targets, 1e-3), rtol=1e-9)
    assert max(sizes) == 49
