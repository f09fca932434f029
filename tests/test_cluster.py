"""Dask and Ray clusters of real processes on this machine, and what may happen to them."""

import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier, gram_progress, gram_to_zarr

IMAGES = load_digits().images[:160]
LABELS = load_digits().target[:160]
# Some seconds of two cores, as long as a test of accidents needs.
LARGE = np.random.default_rng(0).normal(size=(260, 14, 14))
LARGE_KERNEL = CNTK(8)


@pytest.fixture(scope="module")
def dask():
    return pytest.importorskip("dask.distributed", reason="Dask clusters need the extra dask")


@pytest.fixture
def cluster(dask):
    """A client of two workers, processes of one thread each."""
    with (
        dask.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        dask.Client(cluster) as client,
    ):
        yield client


def test_dask_computes_the_same(cluster, tmp_path):
    plain = CNTKClassifier(3, normalize=True, flip=True).fit(IMAGES[:100], LABELS[:100])
    expected = plain.decision_function(IMAGES[100:])
    diagonal = CNTK(3).diag(IMAGES)
    with joblib.parallel_config(backend="dask"):
        model = CNTKClassifier(3, normalize=True, flip=True, memory=tmp_path)
        model.fit(IMAGES[:100], LABELS[:100])
        np.testing.assert_array_equal(model.decision_function(IMAGES[100:]), expected)
        np.testing.assert_array_equal(CNTK(3).diag(IMAGES), diagonal)
    ran = cluster.run(lambda: "sklearn_cntk._engines.cpu" in sys.modules)
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
    assert len(names) == 4  # X and Y of two calls
    assert len(set(names)) == 4


def kill_a_worker(client):
    """Kill one worker a second after the first tiles have begun; return the thread and the pid."""
    (victim, *_) = client.run(os.getpid).values()

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(client.processing().values()):
            time.sleep(0.1)
        time.sleep(1)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread, victim


def test_dask_worker_killed(cluster):
    expected = LARGE_KERNEL(LARGE)
    timer, victim = kill_a_worker(cluster)
    with joblib.parallel_config(backend="dask"):
        K = LARGE_KERNEL(LARGE)
    timer.join()
    assert victim not in cluster.run(os.getpid).values()
    np.testing.assert_array_equal(K, expected)


def test_dask_worker_killed_while_writing_zarr(cluster, tmp_path):
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    timer, victim = kill_a_worker(cluster)
    with joblib.parallel_config(backend="dask"):
        array = gram_to_zarr(LARGE_KERNEL, LARGE, store=str(tmp_path / "gram"), chunk_size=20)
    timer.join()
    assert victim not in cluster.run(os.getpid).values()
    np.testing.assert_allclose(array[:], LARGE_KERNEL(LARGE), rtol=1e-12)


def test_dask_scheduler_lost(dask, tmp_path):
    """An error, and soon."""
    port_file = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard",
         "--scheduler-file", str(port_file)], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "2", "--no-dashboard",
         "--scheduler-file", str(port_file), "--death-timeout", "5"], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with dask.Client(scheduler_file=str(port_file), timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
            threading.Timer(3, scheduler.kill).start()
            start = time.monotonic()
            error = pytest.raises(Exception, match=r"(?i)scheduler|cancelled|connection")
            with error, joblib.parallel_config(backend="dask"):
                CNTK(21)(np.tile(LARGE, (8, 1, 1)))  # minutes
            assert time.monotonic() - start < 60
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


RUN = """
import sys
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr, _job
from sklearn_cntk._engines import cpu

class Engine:
    computed = 0
    pairs = cpu.pairs
    def gram(self, X, Y, *args, triu=None, **options):
        Engine.computed += len(X) * len(Y) if triu is None else int(
            np.triu(np.ones((len(X), len(Y))), triu).sum())
        return cpu.gram(X, Y, *args, triu=triu, **options)

_job.select_engine = lambda device: Engine()
images = np.random.default_rng(0).normal(size=(260, 14, 14))
gram_to_zarr(CNTK(8, n_jobs=1), images, store=sys.argv[1], chunk_size=20)
print(Engine.computed)
"""


def start_client(store):
    command = [sys.executable, "-c", RUN, str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_client(process):
    """Pairs that it computed."""
    with process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return int(output)


def wait_for_half(store):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            progress = gram_progress(store)
            if progress.done > progress.total / 2:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.1)
    raise AssertionError("half of the matrix was not there in time")


def test_client_killed(tmp_path):
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    store = tmp_path / "gram"
    with start_client(store) as process:
        wait_for_half(store)
        process.send_signal(signal.SIGKILL)
    done, total = gram_progress(store)
    assert done < total
    computed = finish_client(start_client(store))
    n_pairs = 260 * 261 / 2
    missing = (total - done) / total * n_pairs
    assert computed < missing + 0.05 * n_pairs
    assert gram_progress(store) == (total, total)


def test_two_clients_share_the_work(tmp_path):
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    clients = [start_client(tmp_path / "gram")]
    while not (tmp_path / "gram" / "zarr.json").exists():
        time.sleep(0.1)
    clients.append(start_client(tmp_path / "gram"))
    computed = sum(map(finish_client, clients))
    assert 260 * 261 / 2 <= computed < 1.2 * 260 * 261 / 2
    assert finish_client(start_client(tmp_path / "gram")) == 0


def test_full_disk(tmp_path):
    """A clear error, and what was written stays good."""
    zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount command for a small file system")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        kernel = CNTK(3, gap=False)
        with pytest.raises(OSError, match="No space left"):
            gram_to_zarr(kernel, LARGE, store=str(folder / "gram"), chunk_size=32)
        values = zarr.open_array(str(folder / "gram"))[:]
        there = ~np.isnan(values)
        assert 0 < there.mean() < 1
        np.testing.assert_allclose(values[there], kernel(LARGE)[there], rtol=1e-12)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_ray_computes_the_same():
    ray = pytest.importorskip("ray", reason="Ray clusters need the extra ray")
    from ray.util.joblib import register_ray

    register_ray()
    expected, diagonal = CNTK(3)(IMAGES), CNTK(3).diag(IMAGES)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with joblib.parallel_config(backend="ray"):
            np.testing.assert_array_equal(CNTK(3)(IMAGES), expected)
            np.testing.assert_array_equal(CNTK(3).diag(IMAGES), diagonal)
    finally:
        ray.shutdown()
