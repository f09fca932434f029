"""Engines: modules, or objects, that turn tiles of images into tiles of kernel values.

Every engine offers the same two functions and passes the same tests:

``gram(X, Y, architecture, readouts, *, dtype="float32", triu=None)``
    X (n, P, Q, C) and Y (m, P, Q, C) real arrays of any numeric dtype, finite; returns a new
    float64 array (len(readouts), n, m) with the kernel value of every pair.  With an integer
    `triu`, only the entries that ``numpy.triu(K, triu)`` keeps are computed; what the others
    hold is unspecified.
``pairs(X, Y, architecture, readouts, *, dtype="float32")``
    The same for the n pairs ``(X[i], Y[i])``: float64 (len(readouts), n).

`dtype` is the precision of the recursion, "float32" or "float64".  An engine computes every
readout from one pass over the layers.  Engines are imported when they are first asked for:
their compilers are slow to import.

An engine that wants other tiles than `tiles` makes for a core of a CPU has the attributes
`tile_work` (element-layers), `largest_tile` (images of a side), `table_bytes` and `most_jobs`
(calls at once); one that says what it runs on has a `label`.  One whose tiles share some work has
``prepare(X, Y, architecture, readouts, dtype)``, which returns an object with
``gram(rows, columns, triu)``: slices, or lists, of X and Y.
"""

from importlib import import_module


def select_engine(device):
    """The engine for a `device` parameter: "auto" takes all GPUs if there are any, else the CPU.

    Raises
    ------
    ValueError
        Unknown `device`.
    RuntimeError
        A GPU is asked for and none can be used.
    """
    kind, _, index = device.partition(":") if isinstance(device, str) else ("", "", "")
    known = device in ("auto", "cpu", "cuda") or (kind == "cuda" and index.isdecimal())
    if not known:
        raise ValueError(f"device={device!r} is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'.")
    if device != "cpu":
        from .cuda import devices as cuda_devices

        if device == "auto":
            devices = cuda_devices.find_devices()
        else:
            devices = cuda_devices.open_devices(int(index) if index else None)
        if devices:
            return import_module(".cuda.engine", __name__).Engine(devices)
    return import_module(".cpu.engine", __name__)
