"""Stores whose writers are killed or interrupted, two of them at once, and full disks."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from large_gram import LARGE

from sklearn_cntk import CNTK, gram_progress, gram_to_zarr

zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")

pytestmark = pytest.mark.process

RUN = """
import sys
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr
from sklearn_cntk._engines.cpu.engine import CpuEngine

store, log = sys.argv[1:]

class Engine(CpuEngine):
    def gram(self, X, Y, *args, triu=None, **options):
        computed = len(X) * len(Y) if triu is None else int(
            np.triu(np.ones((len(X), len(Y))), triu).sum())
        with open(log, "a") as file:
            file.write(f"{computed}\\n")
        return super().gram(X, Y, *args, triu=triu, **options)

images = np.random.default_rng(0).normal(size=(180, 14, 14))
gram_to_zarr(CNTK(8, n_jobs=1, device=Engine()), images, store=store, chunk_size=20)
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


def wait_for_half(store, process):
    """Wait until the process has written half of the matrix."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process has ended before"
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
    first = Writer(tmp_path, "first")
    wait_for_half(tmp_path / "gram", first.process)
    first.process.kill()
    first.process.wait()
    done, total = gram_progress(tmp_path / "gram")
    assert done < total
    second = Writer(tmp_path, "second").finish()
    assert N_PAIRS <= first.begun() + second < 1.05 * N_PAIRS
    assert gram_progress(tmp_path / "gram") == (total, total)
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "gram"))[:], large_gram)


def test_two_clients_share_the_work(tmp_path, large_gram):
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
        wait_for_half(store, process)
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
