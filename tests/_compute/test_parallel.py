"""What `run` counts, in different threads, and what it says of sizes."""

import sys
import threading
import time

import joblib
import numpy as np
import pytest

from sklearn_cntk._compute import parallel as _parallel


@pytest.fixture
def interleaved():
    """Every instruction of `run` lets another thread go on, as without the interpreter lock."""
    frames = {_parallel.run.__code__}
    frames |= {code for code in _parallel.run.__code__.co_consts if hasattr(code, "co_code")}

    def trace(frame, event, argument):
        if frame.f_code not in frames:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            time.sleep(1e-5)
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    yield
    sys.settrace(before)
    threading.settrace(None)


def square(offset, x):
    return offset + x**2


def test_threads_that_count_do_not_lose_counts(interleaved):
    with joblib.parallel_config(backend="threading", n_jobs=4):
        results = sorted(_parallel.run(square, (3,), ((x,) for x in range(1000)), 4))
    assert results == [3 + x**2 for x in range(1000)]


def test_lost_results_are_an_error(monkeypatch):
    class Lossy(joblib.Parallel):
        def __call__(self, calls):
            results = super().__call__(calls)
            next(results)
            return results

    monkeypatch.setattr(_parallel, "Parallel", Lossy)
    with pytest.raises(RuntimeError, match="without the results of 1 calls"):
        list(_parallel.run(square, (3,), ((x,) for x in range(20)), 2))


def test_dask_knows_the_size_of_images():
    sizeof = pytest.importorskip("dask.sizeof", reason="Dask clusters need the extra dask").sizeof
    images = np.zeros((1000, 8, 8))
    assert 0 <= sizeof(_parallel._DaskObject(images)) - images.nbytes < 200
    assert sizeof(_parallel._DaskObject("a" * 1000)) >= 1000
