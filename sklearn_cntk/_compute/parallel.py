"""Many calls of one function through joblib, wherever its configuration sends them.

Threads of this process by default, since the engines hold no interpreter lock.  Under
``joblib.parallel_config(backend="dask")`` or "ray" the calls run on that cluster, and what all of
them share is sent there once.
"""

import sys
import threading
import uuid
from contextlib import nullcontext
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.parallel import get_active_backend

# Results a worker that may wait to be taken, or be under way: what fits into some memory, within
# bounds.  joblib begins two calls a worker before it returns the first, and looks for results a
# hundred times a second.  Where a backend returns whole lists, workers idle at the end of each.
_ROOM = 2**28
_LEAST_IN_FLIGHT, _LEAST_IN_A_LIST, _MOST_IN_FLIGHT = 4, 16, 64


def run(function, shared, arguments, n_jobs, result_bytes=0):
    """Yield ``function(*shared, *args)`` for each of `arguments`, in the order of completion.

    However slowly they are taken, only `_ROOM` bytes of results are kept, or a few a worker.

    Parameters
    ----------
    function : callable
        Of module level, so that other processes can import it, or a `partial` of one.
    shared : tuple
        Large arguments that are the same in all calls.
    arguments : iterable of tuple
        Consumed while the calls run.
    n_jobs : int or None
        As in joblib.
    result_bytes : int, default=0
        Of a result, about.

    Raises
    ------
    RuntimeError
        The backend could not send what is shared, or lost results without saying so.
    """
    backend, _ = get_active_backend()
    name = type(backend).__name__
    context = nullcontext()
    objects = {id(item): item for item in shared}  # Y may be X, and is sent once then
    if name == "DaskDistributedBackend":
        # Every worker gets a copy beforehand, so that any of them may be lost.
        objects = {key: _DaskObject(item) for key, item in objects.items()}
        try:
            context = parallel_config(_on_workers(backend, objects.values()))
        except OSError as error:  # Dask's own are
            size = sum(getattr(item.get(), "nbytes", 0) for item in objects.values()) / 1e6
            raise RuntimeError(
                f"{size:.0f} MB of images, which every Dask worker gets, could not be sent: is the "
                "cluster still there, and is that well below each worker's memory_limit?"
            ) from error
    elif name == "RayBackend":
        import ray

        objects = {key: _RayObject(ray.put(item)) for key, item in objects.items()}
    sent = tuple(objects[id(item)] for item in shared)
    streams = backend.supports_return_generator or name == "SequentialBackend"
    return_as = "generator_unordered" if streams else "list"
    # Two counts, since joblib asks for calls in a thread of its own while results are taken here.
    begun = ended = 0
    remaining = iter(arguments)
    exhausted = False

    def calls():
        """Calls until there are no more, or results pile up.

        joblib cannot wait here, as it holds the lock by which results are taken: its input ends, it
        returns the calls under way, and then it is called again.
        """
        nonlocal begun, exhausted
        while begun - ended < most:
            try:
                args = next(remaining)
            except StopIteration:
                exhausted = True
                return
            begun += 1
            yield delayed(_call)(function, *sent, args=args)

    # Outside of the context: what takes the results may use joblib, and not our backend.
    with context:
        parallel = Parallel(n_jobs, prefer="threads", return_as=return_as)
        backend, usual = get_active_backend(prefer="threads")
        n_workers = max(1, backend.effective_n_jobs(usual if n_jobs is None else n_jobs))
    least = _LEAST_IN_FLIGHT if streams else _LEAST_IN_A_LIST
    of_room = _ROOM // (n_workers * max(1, result_bytes))
    most = n_workers * max(least, min(_MOST_IN_FLIGHT, of_room))
    with parallel:
        while not exhausted:
            for result in parallel(calls()):
                yield result
                ended += 1
            if begun != ended:  # a cluster whose scheduler is gone may end its results silently
                raise RuntimeError(
                    f"joblib's backend {name} returned without the results of {begun - ended} "
                    "calls: is its cluster still there?"
                )


def _on_workers(backend, shared):
    """Dask's backend with `shared` on all workers, which one worker alone does not change.

    The user's options are kept, such as the resources that a call needs.
    """

    class DaskDistributedBackend(type(backend)):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs):
            # joblib computes in this process what has one job only, be the worker a GPU's.
            return max(2, super().effective_n_jobs(n_jobs))

    return DaskDistributedBackend(
        client=backend.client,
        scatter=list(shared),
        wait_for_workers_timeout=backend.wait_for_workers_timeout,
        **backend.submit_kwargs,
    )


def runs_here():
    """Whether calls run in threads of this process."""
    backend, _ = get_active_backend(prefer="threads")
    return getattr(backend, "supports_sharedmem", False)


def in_own_thread(function, *args):
    """``function(*args)`` in a thread of its own, for which the main thread waits, but not Ctrl-C.

    Compiled code does not look for it.  After an interrupt it ends its work unseen.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*args)
    outcome: list[Any] = []
    done = threading.Event()

    def work():
        try:
            outcome.extend((function(*args), None))
        except BaseException as error:  # raised again below
            outcome.extend((None, error))
        finally:
            done.set()

    threading.Thread(target=work, daemon=True).start()
    while not done.wait(0.5):  # on Windows, only a timeout lets signals through
        pass
    value, error = outcome
    if error is not None:
        raise error
    return value


def _call(function, *shared, args):
    travelled = (_DaskObject, _RayObject)
    here = (item.get() if isinstance(item, travelled) else item for item in shared)
    return function(*here, *args)


class _DaskObject:
    """An object that no other one is equal to, for Dask.

    Dask names data by their content, and forgets those of an earlier call some time after it has
    ended: equal data of a later call might be forgotten with them.
    """

    def __init__(self, value):
        self.value = value
        self.token = uuid.uuid4().hex

    def __dask_tokenize__(self):
        return self.token

    def __sizeof__(self):
        # By which Dask's workers know when their memory is full.
        n_bytes = getattr(self.value, "nbytes", None)
        return super().__sizeof__() + (sys.getsizeof(self.value) if n_bytes is None else n_bytes)

    def get(self):
        return self.value


class _RayObject:
    """A reference to an object in Ray's store, which Ray itself resolves in other places only."""

    def __init__(self, reference):
        self.reference = reference

    def get(self):
        import ray

        return ray.get(self.reference)
