"""What `run` counts, in different threads, and what it says of sizes."""

import sys
import threading
import time
import weakref
from types import SimpleNamespace

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
        results = sorted(_parallel.run(square, (3,), ((x,) for x in range(300)), 4))
    assert results == [3 + x**2 for x in range(300)]


class Counted:
    """Arrays of a kind, of which it is known how many there are."""

    def __init__(self):
        self.lock = threading.Lock()
        self.alive = self.most = 0

    def make(self, *_):
        array = np.zeros(1)
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(array, self.forget)
        return array

    def forget(self):
        with self.lock:
            self.alive -= 1


@pytest.mark.parametrize(("backend", "n_jobs"), [("threading", 3), ("sequential", 1)])
@pytest.mark.parametrize("room", [0, 5, 1000])
def test_slow_consumers_keep_few_results(backend, n_jobs, room, monkeypatch):
    """However much faster they are computed than taken, all are, and few of them wait."""
    monkeypatch.setattr(_parallel, "_ROOM", room * n_jobs * 2**20)
    results, taken = Counted(), 0
    with joblib.parallel_config(backend=backend, n_jobs=n_jobs):
        for result in _parallel.run(results.make, (), ((k,) for k in range(300)), n_jobs, 2**20):
            time.sleep(0.001)
            taken += len(result)
            del result
    assert taken == 300
    a_worker = {0: 4, 5: 5, 1000: 64}[room]
    assert results.most <= a_worker * n_jobs + 1
    assert results.most > (0 if n_jobs == 1 else 0.7 * a_worker * n_jobs)
    assert results.alive == 0


def test_results_are_taken_outside_of_our_configuration(monkeypatch):
    """Whoever takes them may use joblib as it was configured before."""
    with joblib.parallel_config(backend="threading", n_jobs=2):
        before = joblib.parallel.get_active_backend()
        seen = [
            joblib.parallel.get_active_backend()
            for _ in _parallel.run(square, (3,), ((x,) for x in range(10)), 2)
        ]
    assert all(backend is before[0] for backend, _ in seen)


def test_lists_of_results_are_short(monkeypatch):
    """Where a backend returns lists, as Ray's."""
    lengths = []

    class Lists(joblib.Parallel):
        def __call__(self, calls):
            results = list(super().__call__(calls))
            lengths.append(len(results))
            return results

    backend = SimpleNamespace(supports_return_generator=False, effective_n_jobs=lambda n: n)
    monkeypatch.setattr(_parallel, "Parallel", Lists)
    monkeypatch.setattr(_parallel, "get_active_backend", lambda **hints: (backend, 2))
    results = sorted(_parallel.run(square, (3,), ((x,) for x in range(75)), 2, 2**40))
    assert results == [3 + x**2 for x in range(75)]
    assert lengths == [32, 32, 11]


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


def test_a_thread_of_its_own():
    """Values and errors come back, and other threads start none."""
    names = []

    def named(value):
        names.append(threading.current_thread().name)
        return 1 / value

    assert _parallel.in_own_thread(named, 2) == 0.5
    with pytest.raises(ZeroDivisionError):
        _parallel.in_own_thread(named, 0)
    assert threading.main_thread().name not in names
    other = threading.Thread(target=_parallel.in_own_thread, args=(named, 4), name="other")
    other.start()
    other.join()
    assert names[-1] == "other"
