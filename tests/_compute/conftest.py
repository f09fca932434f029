"""Clusters for the tests that need one."""

from contextlib import contextmanager

import pytest


@pytest.fixture(scope="session")
def dask():
    return pytest.importorskip("dask.distributed", reason="Dask clusters need the extra dask")


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
