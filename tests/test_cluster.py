"""Dask and Ray clusters of real processes on this machine, and what may happen to them."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import joblib
import numpy as np
import pytest
from joblib.parallel import get_active_backend
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKClassifier, gram_progress, gram_to_zarr
from sklearn_cntk._compute import parallel as _parallel

IMAGES = load_digits().images[:160]
LABELS = load_digits().target[:160]
# Some seconds of two cores, as long as a test of accidents needs.
LARGE = np.random.default_rng(0).normal(size=(180, 14, 14))
LARGE_KERNEL = CNTK(8)


@pytest.fixture(scope="module")
def dask():
    return pytest.importorskip("dask.distributed", reason="Dask clusters need the extra dask")


@pytest.fixture(scope="module")
def large_gram():
    return LARGE_KERNEL(LARGE)


@contextmanager
def client_of_two(dask):
    """A client of two workers, processes of one thread each."""
    with (
        dask.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        dask.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def two_workers(dask):
    with client_of_two(dask) as client:
        yield client


@pytest.fixture
def fresh_cluster(dask):
    """Of workers that have computed nothing, and end with the test."""
    with client_of_two(dask) as client:
        yield client


@pytest.fixture
def cluster(two_workers):
    """The same, complete again after the accidents of other tests."""
    try:
        two_workers.wait_for_workers(2, timeout=60)
    except TimeoutError:  # a nanny that has not brought its worker back
        two_workers.restart(timeout=120)
    return two_workers


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
    finally:
        for worker, folder in folders.items():
            cluster.run(os.chdir, folder, workers=[worker])
    np.testing.assert_allclose(model.decision_function(IMAGES), expected, atol=1e-5)
    assert not list((tmp_path / "there").iterdir())


def test_dask_workers_choose_their_engine(fresh_cluster, tmp_path):
    """Workers that find GPUs, here made of the CPU engine, use them; this process has none."""

    def pretend_gpus():
        from sklearn_cntk._engines import _devices, cpu, cuda

        class Engine:
            calls = 0
            pairs = staticmethod(cpu.pairs)

            def __init__(self, devices):
                assert devices == ["GPU"]

            def gram(self, *args, **options):
                Engine.calls += 1
                return cpu.gram(*args, **options)

        _devices.find_devices = lambda: ["GPU"]
        cuda.Engine = Engine

    def calls():
        from sklearn_cntk._engines import cuda

        return cuda.Engine.calls

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


class Accident:
    """What happens to one worker soon after the first tiles have begun."""

    def __init__(self, client, happen):
        self.client = client
        self.address, self.pid = next(iter(client.run(os.getpid).items()))
        self.was_busy = False
        self.thread = threading.Thread(target=self._wait, args=(happen,))

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *error):
        self.thread.join()
        if error == (None, None, None):
            assert self.was_busy, "the accident came after the work"
            assert self.pid not in self.client.run(os.getpid).values()

    def _wait(self, happen):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not self._busy():
            time.sleep(0.1)
        time.sleep(0.3)
        self.was_busy = self._busy()
        happen(self)

    def _busy(self):
        return bool(self.client.processing()[self.address])


def kill(accident):
    os.kill(accident.pid, signal.SIGKILL)


def test_dask_worker_killed(cluster, large_gram):
    with joblib.parallel_config(backend="dask"), Accident(cluster, kill):
        K = LARGE_KERNEL(LARGE)
    np.testing.assert_array_equal(K, large_gram)


def test_dask_worker_killed_while_writing_zarr(cluster, tmp_path, large_gram):
    pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    with joblib.parallel_config(backend="dask"), Accident(cluster, kill):
        array = gram_to_zarr(LARGE_KERNEL, LARGE, store=str(tmp_path / "gram"), chunk_size=20)
    np.testing.assert_array_equal(array[:], large_gram)


def exhaust_memory(accident):
    def allocate():
        sys.ballast = np.ones(10**8)  # 800 MB

    with suppress(OSError):  # a connection that closes when the worker goes
        accident.client.run(allocate, workers=[accident.address], on_error="ignore")


def test_dask_worker_out_of_memory(dask, large_gram):
    """Its work goes to others; what no worker has memory for is an error, and soon."""
    with (
        dask.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit="700MB"
        ) as cluster,
        dask.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        with Accident(client, exhaust_memory):
            K = LARGE_KERNEL(LARGE)
        np.testing.assert_array_equal(K, large_gram)
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="720 MB of images.*memory_limit"):
            CNTK(3, gap=False)(LARGE[:1, :10, :10], np.zeros((900_000, 10, 10)))
        assert time.monotonic() - start < 60


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
                CNTK(21)(np.tile(LARGE, (11, 1, 1)))  # minutes
            assert time.monotonic() - start < 60
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


RUN = """
import sys
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr
from sklearn_cntk._compute import job as _job
from sklearn_cntk._engines.cpu import engine as cpu

store, log = sys.argv[1:]

class Engine:
    pairs = cpu.pairs
    def gram(self, X, Y, *args, triu=None, **options):
        computed = len(X) * len(Y) if triu is None else int(
            np.triu(np.ones((len(X), len(Y))), triu).sum())
        with open(log, "a") as file:
            file.write(f"{computed}\\n")
        return cpu.gram(X, Y, *args, triu=triu, **options)

_job.select_engine = lambda device: Engine()
images = np.random.default_rng(0).normal(size=(180, 14, 14))
gram_to_zarr(CNTK(8, n_jobs=1), images, store=store, chunk_size=20)
"""
N_PAIRS = 180 * 181 // 2


class Writer:
    """A process that writes the Gram matrix of LARGE."""

    def __init__(self, folder, name):
        self.log = folder / name
        self.log.touch()
        command = [sys.executable, "-c", RUN, str(folder / "gram"), str(self.log)]
        self.process = subprocess.Popen(command)

    def finish(self):
        """Wait; return the number of pairs."""
        assert self.process.wait(timeout=300) == 0
        return self.begun()

    def begun(self):
        """Number of pairs whose computation has begun."""
        return sum(map(int, self.log.read_text().split()))


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


def test_client_killed(tmp_path, large_gram):
    """Both runs compute less than 5 % more than one does; what was in work counts as computed."""
    zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    first = Writer(tmp_path, "first")
    wait_for_half(tmp_path / "gram")
    first.process.kill()
    first.process.wait()
    done, total = gram_progress(tmp_path / "gram")
    assert done < total
    second = Writer(tmp_path, "second").finish()
    assert N_PAIRS <= first.begun() + second < 1.05 * N_PAIRS
    assert gram_progress(tmp_path / "gram") == (total, total)
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "gram"))[:], large_gram)


def test_two_clients_share_the_work(tmp_path, large_gram):
    zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    clients = [Writer(tmp_path, "first")]
    while not (tmp_path / "gram" / "zarr.json").exists():
        time.sleep(0.1)
    clients.append(Writer(tmp_path, "second"))
    pairs = [client.finish() for client in clients]
    assert min(pairs) > 0
    assert N_PAIRS <= sum(pairs) < 1.2 * N_PAIRS
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "gram"))[:], large_gram)
    assert Writer(tmp_path, "third").finish() == 0


INTERRUPTED = """
import signal, sys
from contextlib import nullcontext
import joblib, numpy as np
from sklearn_cntk import CNTK, gram_to_zarr

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells may have ignored
    store, backend = sys.argv[1:]
    cluster = nullcontext()
    if backend == "dask":
        from dask.distributed import Client, LocalCluster
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
        client = Client(cluster)
    images = np.random.default_rng(0).normal(size=(180, 14, 14))
    with cluster, joblib.parallel_config(backend=backend):
        gram_to_zarr(CNTK(8), images, store=store, chunk_size=20)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
@pytest.mark.parametrize("backend", ["threading", "dask"])
def test_interrupted(tmp_path, backend, large_gram):
    """Ctrl-C, which the terminal sends to all of its processes: they end, the store goes on."""
    zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")
    if backend == "dask":
        pytest.importorskip("dask.distributed", reason="Dask clusters need the extra dask")
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    store = tmp_path / "gram"
    process = subprocess.Popen(
        [sys.executable, str(script), str(store), backend],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_half(store)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) != 0
        deadline = time.monotonic() + 60
        while group_exists(process.pid):
            assert time.monotonic() < deadline, "processes were left behind"
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done, total = gram_progress(store)
    assert done < total
    values = zarr.open_array(str(store))[:]
    there = ~np.isnan(values)
    np.testing.assert_array_equal(values[there], large_gram[there])
    Writer(tmp_path, "after").finish()
    np.testing.assert_array_equal(zarr.open_array(str(store))[:], large_gram)


def group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


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
