"""The convolutional neural tangent kernel under scikit-learn's kernel contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from sklearn.gaussian_process.kernels import Kernel

from ._compute.cost import Estimate, estimate
from ._compute.job import Job
from ._support.checks import check_integer
from ._support.images import as_images, check_image_shape
from ._support.network import path_readouts
from ._support.ram import check_memory

if TYPE_CHECKING:
    from ._store.entries import Memory
    from ._support.typing import (
        Any,
        ArrayLike,
        Dtype,
        FloatArray,
        ImageShape,
        Sequence,
        TrainedLayers,
    )


class CNTK(Kernel):
    """Convolutional neural tangent kernel of an infinitely wide ReLU network.

    The kernel of kernel regression that equals training the network by gradient descent from
    random weights, in the limit of infinite width ([1]_, section 4).  It works wherever
    scikit-learn takes a kernel (:class:`~sklearn.kernel_ridge.KernelRidge`,
    :class:`~sklearn.svm.SVC`, Gaussian processes,
    :class:`~sklearn.kernel_approximation.Nystroem`,
    :class:`~sklearn.decomposition.KernelPCA`), and in sums and products with its kernels.

    Parameters
    ----------
    depth : int, default=11
        Layers of the network, counted as in Table 1 of [1]_: ``depth - 1`` convolutions with
        ReLU, and a dense layer.  At least 2 (3 with ``trained_layers="hidden"``).
    gap : bool, default=True
        Global average pooling before the dense layer (CNTK-GAP) instead of flattening (CNTK-V).
        Costs height × width times as much.
    lap : int, default=0
        Radius c of local average pooling before the dense layer, over windows of
        ``(2 * lap + 1) ** 2`` pixels [2]_; excludes ``gap=True``.  0 pools nothing.  Costs up to
        ``(4 * lap + 1) ** 2`` times as much as flattening.
    trained_layers : {"all", "hidden", "last"}, default="all"
        Layers that are trained.  "all" is section 4 of [1]_; "hidden" freezes the first and last
        layer (appendix H: the published GAP figures); "last" trains the dense layer alone, which
        gives the NNGP (CNN-GP) kernel, eq. 1.
    filter_size : int, default=3
        Side of the square filters, odd.  Stride 1, zero padding.
    image_shape : tuple (height, width, channels) or (height, width), default=None
        Shape of the images that rows of 2-D input hold, in C order.  3-D (n, height, width) and
        4-D (n, height, width, channels) arrays carry their own.  2-D rows without `image_shape`
        are feature vectors, that is images of one pixel, for which this is the kernel of the
        fully-connected network: eq. 9 of [1]_ exactly with ``filter_size=1``, and with a larger
        one the same times ``filter_size ** (-2 * (depth - 1))``, since the rest of each filter
        sees padding alone.
    flip : bool, default=False
        Mean of the kernels of an image and of its mirror image (left to right),
        ``(K(x, x') + K(flip(x), x')) / 2``: the same as adding the mirror images to the training
        set, at a quarter of its Gram matrix [2]_.
    normalize : bool, default=False
        Divide by ``sqrt(K(x, x) K(x', x'))``.  An all-zero image keeps the value 0.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where to compute.  "cuda" shares the work among all GPUs; "auto" does so where CuPy finds
        usable ones, and else takes the CPU.  CuPy comes with ``pip install
        sklearn-cntk[cuda12x]`` or ``[cuda13x]``.
    dtype : {"float32", "float64"}, default="float32"
        Precision of the recursion.  Results are float64 and agree to about 1e-6 (relative)
        between the two; for nearly parallel images (near-duplicates, or a large common offset)
        to about 1e-4.  Feature vectors, which cost little, are always computed in float64.
    n_jobs : int or None, default=-1
        Parallel tiles, as in joblib; -1 uses all cores.  ``joblib.parallel_config`` may override
        how they run.
    memory : str, path-like, KernelStore or None, default=None
        Folder in which computed kernel entries are kept, by the content of the images, with those
        of all smaller depths: pairs that were met before, in a search, another process or an
        interrupted run, are read instead of computed.  See :class:`KernelStore`.
    verbose : int, default=0
        1 shows progress: pairs of images a second and the time left.

    See Also
    --------
    CNTKClassifier, CNTKRegressor : Kernel regression with this kernel.

    Notes
    -----
    Work grows as pairs of images × pixels × `depth`, with GAP as pairs × pixels² × `depth`.
    Multiplying an image by a > 0 multiplies its kernel values by a.

    References
    ----------
    .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact Computation
       with an Infinitely Wide Neural Net", NeurIPS 2019.
    .. [2] Z. Li, R. Wang, D. Yu, S. S. Du, W. Hu, R. Salakhutdinov, S. Arora, "Enhanced
       Convolutional Neural Tangent Kernels", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cntk import CNTK
    >>> images = np.random.default_rng(0).random((5, 8, 8))
    >>> K = CNTK(depth=4)(images)
    >>> K.shape, bool(np.all(K == K.T))
    ((5, 5), True)

    Flattened rows, as most of scikit-learn wants them:

    >>> from sklearn.kernel_ridge import KernelRidge
    >>> ridge = KernelRidge(kernel=CNTK(depth=4, image_shape=(8, 8)), alpha=1e-3)
    >>> ridge.fit(images.reshape(5, 64), np.arange(5)).predict(images.reshape(5, 64)).shape
    (5,)
    """

    def __init__(
        self,
        depth: int = 11,
        gap: bool = True,
        *,
        lap: int = 0,
        trained_layers: TrainedLayers = "all",
        filter_size: int = 3,
        image_shape: ImageShape = None,
        flip: bool = False,
        normalize: bool = False,
        device: str = "auto",
        dtype: Dtype = "float32",
        n_jobs: int | None = -1,
        memory: Memory = None,
        verbose: int | bool = 0,
    ) -> None:
        self.depth = depth
        self.gap = gap
        self.lap = lap
        self.trained_layers = trained_layers
        self.filter_size = filter_size
        self.image_shape = image_shape
        self.flip = flip
        self.normalize = normalize
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> FloatArray: ...

    @overload
    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Kernel values of all pairs of X and Y.

        Parameters
        ----------
        X : array-like (n, height * width * channels), (n, height, width) or \
                (n, height, width, channels)
            Finite real numbers of any dtype.
        Y : array-like of the same kind with m images, default=None
            None, or the same object as `X`, computes the symmetric Gram matrix of `X` from its
            upper triangle.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to the hyperparameters that Gaussian
            processes optimise as well.  This kernel has none.

        Returns
        -------
        K : ndarray of float64, shape (n, m)
            A new array.
        K_gradient : ndarray, shape (n, n, 0)
            Only with ``eval_gradient=True``.

        Raises
        ------
        ValueError, TypeError
            Parameters or data that cannot be used, by name, before anything is computed.
        """
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        symmetric = Y is None or Y is X
        X = as_images(X, self.image_shape)
        Y = None if symmetric else as_images(Y, self.image_shape, name="Y")
        (K,) = self._job(X).gram(X, Y)
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X: ArrayLike) -> FloatArray:
        """Kernel value of each image with itself, at the cost of n pairs.

        Parameters
        ----------
        X : array-like, n images
            As in :meth:`__call__`.

        Returns
        -------
        ndarray of float64, shape (n,)
            The diagonal of the Gram matrix of `X`.
        """
        images = as_images(X, self.image_shape)
        (values,) = self._job(images).diagonals(images)
        return values

    def estimate(
        self, n_x: int, n_y: int | None = None, *, image_shape: ImageShape = None
    ) -> Estimate:
        """What a Gram matrix will cost on the devices that would compute it now.

        Measures for a second or so, after compiling.

        Parameters
        ----------
        n_x : int
            Number of images.
        n_y : int or None, default=None
            Number of other images; None is the symmetric Gram matrix of the `n_x` ones.
        image_shape : tuple (height, width, channels) or (height, width), default=None
            None takes the kernel's.

        Returns
        -------
        Estimate
            A named tuple: pairs, element_layers, bytes, seconds.

        Raises
        ------
        ValueError, TypeError
            Numbers below 1, or no `image_shape`.

        Examples
        --------
        >>> from sklearn_cntk import CNTK
        >>> cost = CNTK(depth=4).estimate(1000, image_shape=(8, 8))
        >>> cost.pairs, cost.bytes
        (500500, 8000000)
        """
        n_x = check_integer("n_x", n_x, 1, "use a number of images")
        if n_y is not None:
            n_y = check_integer("n_y", n_y, 1, "use a number of images, or None")
        shape = check_image_shape(self.image_shape if image_shape is None else image_shape)
        if shape is None:
            raise ValueError("image_shape=None: give the shape of the images to estimate for.")
        return estimate(self._job(np.zeros((1, *shape))), n_x, n_y)

    def is_stationary(self) -> bool:
        """Whether the kernel depends on differences of its inputs alone: it does not.

        Returns
        -------
        bool
            False.
        """
        return False

    def __repr__(self) -> str:
        defaults = type(self)().get_params()
        changed = {k: v for k, v in self.get_params().items() if repr(v) != repr(defaults[k])}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _job(self, images, readouts=None):
        """The computation that the parameters ask for, all of them checked."""
        return Job.of(self, images, readouts)


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
    kernel = CNTK(
        filter_size=filter_size,
        flip=flip,
        normalize=normalize,
        device=device,
        dtype=dtype,
        n_jobs=n_jobs,
        memory=memory,
        verbose=verbose,
    )
    job = kernel._job(X, readouts)
    check_memory(
        8 * len(readouts) * len(X) * len(X if Y is None else Y),
        f"A path of {len(readouts)} Gram matrices",
        "ask for fewer depths, gap, lap and trained_layers, or for fewer images, at a time",
    )
    names = ("depth", "gap", "lap", "trained_layers")
    return job.gram(X, Y), [{name: getattr(r, name) for name in names} for r in readouts]
