"""Kernels of many architectures from one pass over the layers."""

from itertools import product

from ._architecture import Readout
from ._images import as_images
from ._job import Job
from ._memory import check_memory


def cntk_path(
    X,
    Y=None,
    *,
    depths,
    gap=(True, False),
    lap=(),
    trained_layers=("all",),
    filter_size=3,
    image_shape=None,
    flip=False,
    normalize=False,
    device="auto",
    dtype="float32",
    n_jobs=-1,
    memory=None,
    verbose=0,
):
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
        8 * len(readouts) * len(X) * len(X if symmetric else Y),
        f"A path of {len(readouts)} Gram matrices",
        "ask for fewer depths, gap, lap and trained_layers, or for fewer images, at a time",
    )
    names = ("depth", "gap", "lap", "trained_layers")
    return job.gram(X, Y), [{name: getattr(r, name) for name in names} for r in readouts]


def path_readouts(depths, gap, lap, trained_layers):
    """Readouts of all combinations, depth slowest; raises if there is none."""
    poolings = [(pool, 0) for pool in gap] + [(False, radius) for radius in lap]
    readouts = [
        Readout(depth, pool, trained, radius)
        for depth, trained, (pool, radius) in product(depths, trained_layers, poolings)
    ]
    if not readouts:
        raise ValueError(
            f"no readout is left of depths={depths!r}, gap={gap!r}, lap={lap!r} and "
            f"trained_layers={trained_layers!r}: give at least one depth, one of trained_layers, "
            "and one pooling by gap or lap."
        )
    return list(dict.fromkeys(readouts))
