"""Many calls of one function through joblib, wherever its configuration sends them.

By default, calls run in threads of this process, since the engines release the interpreter lock.
Under ``joblib.parallel_config(backend="dask")`` or "ray" they run on that cluster, and the
arguments that they share are sent there once.
"""

import sys
import threading
import uuid
from contextlib import nullcontext
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.parallel import get_active_backend

# Results per worker that may wait to be consumed, or be in progress: as many as fit into this much
# memory, within bounds.  joblib starts two calls per worker before it returns the first result, and
# polls for results a hundred times a second.  If a backend returns whole lists, workers are idle at
# the end of each.
_ROOM = 2**28
_LEAST_IN_FLIGHT, _LEAST_IN_A_LIST, _MOST_IN_FLIGHT = 4, 16, 64


def run(function, shared, arguments, n_jobs, result_bytes=0):
    """Yield ``function(*shared, *args)`` for each of `arguments`, in the order of completion.

    However slowly they are consumed, only `_ROOM` bytes of results are kept, or a few per worker.

    Parameters
    ----------
    function : callable
        At module level, so that other processes can import it, or a `partial` of one.
    shared : tuple
        Large arguments that are the same in all calls.
    arguments : iterable of tuple
        Consumed while the calls run.
    n_jobs : int or None
        As in joblib.
    result_bytes : int, default=0
        Approximate size of a result.

    Raises
    ------
    RuntimeError
        The backend could not send the shared arguments, or lost results without an error.
    """
    backend, _ = get_active_backend()
    name = type(backend).__name__
    context = nullcontext()
    objects = {id(item): item for item in shared}  # if Y is X, it is sent once
    if name == "DaskDistributedBackend":
        # Every worker gets a copy beforehand, so that any of them may be lost.
        objects = {key: _DaskObject(item) for key, item in objects.items()}
        try:
            context = parallel_config(_on_workers(backend, objects.values()))
        except OSError as error:  # Dask's own errors are subclasses of it
            size = sum(getattr(item.get(), "nbytes", 0) for item in objects.values()) / 1e6
            raise RuntimeError(
                f"{size:.0f} MB of images, which every Dask worker gets, could not be sent: check "
                "that the cluster is still running, and that each worker's memory_limit is well "
                "above this size."
            ) from error
    elif name == "RayBackend":
        import ray

        objects = {key: _RayObject(ray.put(item)) for key, item in objects.items()}
    sent = tuple(objects[id(item)] for item in shared)
    streams = backend.supports_return_generator or name == "SequentialBackend"
    return_as = "generator_unordered" if streams else "list"
    # Two counts, since joblib requests calls in its own thread while results are consumed here.
    begun = ended = 0
    remaining = iter(arguments)
    exhausted = False

    def calls():
        """Yield calls until there are no more, or results pile up.

        joblib cannot wait here, since it holds the lock that consuming results needs.  Instead its
        input ends, it returns the results of calls in progress, and is then started again.
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

    # The consumer of results runs outside the context: it may use joblib, but not our backend.
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
            if begun != ended:  # a cluster that lost its scheduler may end its results silently
                raise RuntimeError(
                    f"joblib's backend {name} returned without the results of {begun - ended} "
                    "calls: check that its cluster is still running."
                )


def _on_workers(backend, shared):
    """Return Dask's backend with `shared` on all workers, used even if there is only one worker.

    The user's options, such as the resources that a call needs, are kept.
    """

    class DaskDistributedBackend(type(backend)):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs):
            # With a single job, joblib would compute in this process, even if the worker has a GPU.
            return max(2, super().effective_n_jobs(n_jobs))

    return DaskDistributedBackend(
        client=backend.client,
        scatter=list(shared),
        wait_for_workers_timeout=backend.wait_for_workers_timeout,
        **backend.submit_kwargs,
    )


def runs_here():
    """Return whether calls run in threads of this process."""
    backend, _ = get_active_backend(prefer="threads")
    return getattr(backend, "supports_sharedmem", False)


def in_own_thread(function, *args):
    """Run ``function(*args)`` in its own thread, so that Ctrl-C can interrupt the main thread.

    Compiled code does not check for Ctrl-C.  After an interrupt, it finishes in the background.
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
    """An object that Dask treats as different from all others.

    Dask identifies data by their content, and forgets those of an earlier call some time after it
    has ended: equal data of a later call might be forgotten with them.
    """

    def __init__(self, value):
        self.value = value
        self.token = uuid.uuid4().hex

    def __dask_tokenize__(self):
        return self.token

    def __sizeof__(self):
        # Dask's workers use this to detect when their memory is full.
        n_bytes = getattr(self.value, "nbytes", None)
        return super().__sizeof__() + (sys.getsizeof(self.value) if n_bytes is None else n_bytes)

    def get(self):
        return self.value


class _RayObject:
    """A reference to an object in Ray's store, which Ray does not resolve by itself here."""

    def __init__(self, reference):
        self.reference = reference

    def get(self):
        import ray

        return ray.get(self.reference)
