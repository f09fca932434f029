"""Dask and Ray clusters of real processes on this machine."""

import os
import sys

import joblib
import numpy as np
import pytest
from joblib.parallel import get_active_backend
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier, gram_to_zarr
from sklearn_cntk._compute import parallel as _parallel
from sklearn_cntk._linalg.gram_operators import ZarrGram

pytestmark = pytest.mark.process

IMAGES = load_digits().images[:160]
LABELS = load_digits().target[:160]


def test_dask_computes_the_same(cluster, tmp_path):
    plain = CNTKClassifier(3, normalize=True, flip=True).fit(IMAGES[:100], LABELS[:100])
    expected = plain.decision_function(IMAGES[100:])
    diagonal = CNTK(3).diag(IMAGES)
    with joblib.parallel_config(backend="dask"):
        model = CNTKClassifier(3, normalize=True, flip=True, memory=tmp_path)
        model.fit(IMAGES[:100], LABELS[:100])
        np.testing.assert_array_equal(model.decision_function(IMAGES[100:]), expected)
        np.testing.assert_array_equal(CNTK(3).diag(IMAGES), diagonal)
    ran = cluster.run(lambda: "sklearn_cntk._engines.cpu.engine" in sys.modules)
    assert any(ran.values())


def test_dask_names_the_data_of_each_call_anew(cluster):
    """Data named by their content might be forgotten with those of the call before."""
    names = []
    scatter = cluster.scatter

    def recorded(data, **options):
        futures = scatter(data, **options)
        names.extend(future.key for future in futures)
        return futures

    cluster.scatter = recorded
    expected = CNTK(3)(IMAGES)
    with joblib.parallel_config(backend="dask"):
        for _ in range(2):
            np.testing.assert_array_equal(CNTK(3)(IMAGES), expected)
    assert len(names) == 2  # X, which is Y as well, of two calls
    assert len(set(names)) == 2


def test_tiles_come_straight_from_the_workers(cluster):
    """If the user's client may reach them."""
    scheduler = cluster.cluster.scheduler
    gather, gathered = scheduler.handlers["gather"], []

    async def recorded(*args, **options):
        gathered.extend(options["keys"])
        return await gather(*args, **options)

    scheduler.handlers["gather"] = recorded
    try:
        expected = CNTK(3)(IMAGES)
        for direct in (False, True):
            with (
                type(cluster)(cluster.cluster, direct_to_workers=direct) as client,
                joblib.parallel_config(backend="dask", client=client),
            ):
                np.testing.assert_array_equal(CNTK(3)(IMAGES), expected)
            assert bool(gathered) is not direct
            gathered.clear()
    finally:
        scheduler.handlers["gather"] = gather


def test_options_of_dask_are_kept(fresh_cluster):
    """Calls run where the user says, and as the user says."""
    expected = CNTK(3)(IMAGES)
    address, other = fresh_cluster.scheduler_info()["workers"]
    submit, submitted = fresh_cluster.submit, []

    def recorded(*args, **options):
        submitted.append(options)
        return submit(*args, **options)

    fresh_cluster.submit = recorded
    with joblib.parallel_config(
        backend="dask", workers=[address], priority=5, wait_for_workers_timeout=7
    ):
        np.testing.assert_array_equal(CNTK(3)(IMAGES), expected)
        backend = _parallel._on_workers(get_active_backend()[0], ())
    assert backend.wait_for_workers_timeout == 7
    assert {options["priority"] for options in submitted} == {5}
    computed = fresh_cluster.run(lambda: "sklearn_cntk._engines.cpu.engine" in sys.modules)
    assert computed == {address: True, other: False}


def test_one_dask_worker_computes(dask):
    """And not this process, as joblib would have it."""
    with (
        dask.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        dask.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        CNTK(3)(IMAGES)
        assert all(client.run(lambda: "sklearn_cntk._engines.cpu.engine" in sys.modules).values())


def test_relative_stores_are_those_of_this_process(cluster, tmp_path, monkeypatch):
    """Workers may have been started in other folders."""
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    model = CNTKClassifier(3, solver="cg", tol=1e-9, gram_store="gram")
    expected = CNTKClassifier(3).fit(IMAGES, LABELS).decision_function(IMAGES)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folders = cluster.run(os.getcwd)
    cluster.run(os.chdir, str(tmp_path / "there"))
    try:
        with joblib.parallel_config(backend="dask"):
            model.fit(IMAGES, LABELS)
            product = ZarrGram("gram", None).product(np.eye(len(IMAGES)))
    finally:
        for worker, folder in folders.items():
            cluster.run(os.chdir, folder, workers=[worker])
    np.testing.assert_allclose(model.decision_function(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(product, CNTK(3)(IMAGES), rtol=1e-5)
    assert not list((tmp_path / "there").iterdir())


def test_dask_workers_choose_their_engine(fresh_cluster, tmp_path):
    """Workers that find GPUs, here made of the CPU engine, use them; this process has none."""

    def pretend_gpus():
        from sklearn_cntk._engines.cpu.engine import CpuEngine
        from sklearn_cntk._engines.cuda import devices, engine

        class Engine(CpuEngine):
            calls = 0

            def __init__(self, devices):
                assert devices == ["GPU"]

            def gram(self, *args, **options):
                Engine.calls += 1
                return super().gram(*args, **options)

        devices.find_devices = lambda: ["GPU"]
        engine.CudaEngine = Engine

    def calls():
        from sklearn_cntk._engines.cuda import engine

        return engine.CudaEngine.calls

    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    kernel = CNTK(3, device="auto")
    expected = kernel(IMAGES)
    fresh_cluster.run(pretend_gpus)
    with joblib.parallel_config(backend="dask"):
        np.testing.assert_array_equal(kernel(IMAGES), expected)
        tiles = sum(fresh_cluster.run(calls).values())
        assert tiles > 0
        gram_to_zarr(kernel, IMAGES, store=str(tmp_path / "gram"))
        assert sum(fresh_cluster.run(calls).values()) > tiles


def test_ray_computes_the_same(tmp_path):
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    ray = pytest.importorskip("ray", reason="Ray clusters need the extra ray")
    from ray.util.joblib import register_ray

    register_ray()
    expected, diagonal = CNTK(3)(IMAGES), CNTK(3).diag(IMAGES)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with joblib.parallel_config(backend="ray"):
            np.testing.assert_array_equal(CNTK(3)(IMAGES), expected)
            np.testing.assert_array_equal(CNTK(3).diag(IMAGES), diagonal)
            array = gram_to_zarr(CNTK(3), IMAGES, store=str(tmp_path / "gram"))
            np.testing.assert_array_equal(array[:], expected)
    finally:
        ray.shutdown()
