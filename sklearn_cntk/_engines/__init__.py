"""Engines: modules that turn tiles of images into tiles of kernel values.

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
"""

from importlib import import_module


def select_engine(device):
    """The engine module for a `device` parameter.

    Raises
    ------
    ValueError
        Unknown `device`.
    RuntimeError
        A GPU is asked for and none can be used.
    """
    if device in ("auto", "cpu"):
        return import_module(".cpu", __name__)
    if isinstance(device, str) and device.split(":")[0] == "cuda":
        raise RuntimeError(
            f"device={device!r} is not available: this version has no CUDA engine yet. "
            "Use device='auto' or device='cpu'."
        )
    raise ValueError(f"device={device!r} is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'.")
