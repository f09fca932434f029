"""What may happen to Dask's workers and scheduler: they are killed, lost, or short of memory."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import joblib
import numpy as np
import pytest
from large_gram import LARGE, LARGE_KERNEL

from sklearn_cntk import CNTK, gram_to_zarr

pytestmark = pytest.mark.process


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
            error = pytest.raises(Exception, match=r"(?i)scheduler|cluster|cancelled|connection")
            with error, joblib.parallel_config(backend="dask"):
                CNTK(21)(np.tile(LARGE, (11, 1, 1)))  # minutes
            assert time.monotonic() - start < 60
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
