"""Threads of the linear algebra library: a limit of the process that many threads share."""

import os
import threading

import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from sklearn_cntk._linalg.threads import one_thread, threads_for


@pytest.fixture(autouse=True)
def n_threads():
    """How many threads the libraries have: two, whatever the machine and the environment say."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.num_threads for library in libraries]
    for library in libraries:
        set_threads(library, 2)
    try:
        if counts() != {2}:
            pytest.skip(f"linear algebra libraries with threads {counts()}")
        yield {2}
    finally:
        for library, n in zip(libraries, before, strict=True):
            set_threads(library, n)


def set_threads(library, n):
    """And let others set it again, which newer versions of threadpoolctl want to be told."""
    library.set_num_threads(n)
    getattr(library, "clear_controlling_thread", lambda: None)()


def counts():
    return {item["num_threads"] for item in threadpool_info() if item["user_api"] == "blas"}


def test_interleaved_contexts_restore_the_threads(n_threads):
    first, second = one_thread(), threads_for(10)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert counts() == {1}  # the second is still inside
    second.__exit__(None, None, None)
    assert counts() == n_threads
    with threads_for(10**6):
        assert counts() == n_threads


def test_first_in_need_not_be_last_out(n_threads):
    """The thread that limited the libraries lives on, but another one lifts the limit."""
    first_in, other_in, first_out = (threading.Event() for _ in range(3))

    def work():
        with one_thread():
            first_in.set()
            other_in.wait()
        first_out.set()
        done.wait()

    done = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    first_in.wait()
    with one_thread():
        other_in.set()
        first_out.wait()
        assert counts() == {1}
    assert counts() == n_threads
    done.set()
    thread.join()


def test_many_threads_restore_the_threads(n_threads):
    seen = []

    def work():
        for _ in range(200):
            with one_thread():
                pass
        with one_thread():
            seen.extend(counts())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1}
    assert counts() == n_threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_process_is_not_limited_by_threads_it_lacks(n_threads):
    entered, done = threading.Event(), threading.Event()

    def work():
        with one_thread():
            entered.set()
            done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            outside = counts() == n_threads
            with one_thread():
                inside = counts() == {1}
            status = 0 if outside and inside and counts() == n_threads else 1
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
    assert counts() == n_threads
