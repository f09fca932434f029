"""Kernels of many architectures from one pass over the layers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ._architecture import Readout
from ._images import as_images
from ._job import Job
from ._memory import check_memory

if TYPE_CHECKING:
    from ._typing import (
        Any,
        ArrayLike,
        Dtype,
        FloatArray,
        ImageShape,
        Memory,
        Sequence,
        TrainedLayers,
    )


def cntk_path(
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    depths: Sequence[int],
    gap: Sequence[bool] = (True, False),
    lap: Sequence[int] = (),
    trained_layers: Sequence[TrainedLayers] = ("all",),
    filter_size: int = 3,
    image_shape: ImageShape = None,
    flip: bool = False,
    normalize: bool = False,
    device: str = "auto",
    dtype: Dtype = "float32",
    n_jobs: int | None = -1,
    memory: Memory = None,
    verbose: int | bool = 0,
) -> tuple[FloatArray, list[dict[str, Any]]]:
    """Kernel matrices of many architectures for the price of the most expensive one.

    The state of the recursion after h convolutions holds the kernel of depth h + 1, whatever
    the pooling, so a pass at the largest depth computes every smaller one, GAP, traces, local
    pooling and the NNGP kernel on its way.

    Parameters
    ----------
    X : array-like, n images
        As in :class:`CNTK`.
    Y : array-like, m images, default=None
        None computes the symmetric Gram matrices of `X` from their upper triangles.
    depths : sequence of int
        Depths of the networks.
    gap : sequence of bool, default=(True, False)
        Poolings: True for global average pooling, False for none.
    lap : sequence of int, default=()
        Radii of local average pooling, in addition to `gap`.
    trained_layers : sequence of {"all", "hidden", "last"}, default=("all",)
        See :class:`CNTK`.
    filter_size, image_shape, flip, normalize, device, dtype, n_jobs, memory, verbose
        See :class:`CNTK`.

    Returns
    -------
    grams : ndarray of float64, shape (n_readouts, n, m)
        Equal, bit for bit, to those of single kernels.
    readouts : list of dict
        The parameters ``depth``, ``gap``, ``lap`` and ``trained_layers`` of each Gram matrix, as
        :class:`CNTK` takes them.

    Raises
    ------
    ValueError, TypeError
        Parameters or data that cannot be used, by name, before anything is computed.
    MemoryError
        If the stack does not fit; nothing is computed then.

    See Also
    --------
    CNTKClassifierCV, CNTKRegressorCV : Searches over these kernels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cntk import CNTK, cntk_path
    >>> images = np.random.default_rng(0).random((5, 8, 8))
    >>> grams, readouts = cntk_path(images, depths=[3, 6])
    >>> grams.shape
    (4, 5, 5)
    >>> readouts[0]
    {'depth': 3, 'gap': True, 'lap': 0, 'trained_layers': 'all'}
    >>> bool(np.all(grams[0] == CNTK(**readouts[0])(images)))
    True
    """
    readouts = path_readouts(depths, gap, lap, trained_layers)
    symmetric = Y is None or Y is X
    X = as_images(X, image_shape)
    Y = None if symmetric else as_images(Y, image_shape, name="Y")
    job = Job.of(
        X,
        readouts,
        filter_size=filter_size,
        flip=flip,
        normalize=normalize,
        device=device,
        dtype=dtype,
        n_jobs=n_jobs,
        memory=memory,
        verbose=verbose,
    )
    check_memory(
        8 * len(readouts) * len(X) * len(X if Y is None else Y),
        f"A path of {len(readouts)} Gram matrices",
        "ask for fewer depths, gap, lap and trained_layers, or for fewer images, at a time",
    )
    names = ("depth", "gap", "lap", "trained_layers")
    return job.gram(X, Y), [{name: getattr(r, name) for name in names} for r in readouts]


def check_sequence(name, values, example):
    """Raise unless `values` is a sequence, such as the example, which the message names."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}={values!r} must be a sequence of values, such as {example}.")


def path_readouts(depths, gap, lap, trained_layers, *, names=("depths", "gap", "lap")):
    """Readouts of all combinations, depth slowest; raises if there is none.

    `names` are those of the caller's parameters, for error messages.
    """
    check_sequence(names[0], depths, "(3, 6, 11)")
    check_sequence(names[1], gap, "(True, False)")
    check_sequence(names[2], lap, "(1, 2)")
    check_sequence("trained_layers", trained_layers, "('all', 'last')")
    poolings = [(pool, 0) for pool in gap] + [(False, radius) for radius in lap]
    readouts = [
        Readout(depth, pool, trained, radius)
        for depth, trained, (pool, radius) in product(depths, trained_layers, poolings)
    ]
    if not readouts:
        raise ValueError(
            f"no readout is left of {names[0]}={depths!r}, {names[1]}={gap!r}, {names[2]}={lap!r} "
            f"and trained_layers={trained_layers!r}: give at least one depth, one of "
            f"trained_layers, and one pooling by {names[1]} or {names[2]}."
        )
    return list(dict.fromkeys(readouts))
