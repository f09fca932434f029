"""The convolutional neural tangent kernel under scikit-learn's kernel contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ._compute.cost import Estimate, estimate, image_to_estimate_for
from ._compute.job import Job
from ._models.hyperparameters import (
    HyperparameterBounds,
    gram_and_gradient,
    gram_of_vectors,
    has_formulas,
)
from ._models.image_kernel import ImageKernel
from ._models.network_params import SettableNetwork
from ._models.parameters import KernelParameters
from ._support.architecture import path_readouts
from ._support.checks import check_integer
from ._support.docstrings import fill_docs, fill_docs_like
from ._support.images import as_images
from ._support.ram import check_memory

if TYPE_CHECKING:
    from ._store.entries import Memory
    from ._support.network import Network
    from ._support.typing import (
        Any,
        ArrayLike,
        Dtype,
        FloatArray,
        ImageShape,
        Sequence,
        TrainedLayers,
    )


@fill_docs
class CNTK(HyperparameterBounds, SettableNetwork, ImageKernel):
    """Convolutional neural tangent kernel of an infinitely wide network.

    Kernel regression with this kernel equals training the network by gradient descent from
    random weights, in the limit of infinite width ([1]_, section 4).  The kernel works wherever
    scikit-learn accepts one (:class:`~sklearn.kernel_ridge.KernelRidge`,
    :class:`~sklearn.svm.SVC`, Gaussian processes,
    :class:`~sklearn.kernel_approximation.Nystroem`,
    :class:`~sklearn.decomposition.KernelPCA`), and in sums and products with scikit-learn's
    kernels.

    Parameters
    ----------
    {parameters}

    See Also
    --------
    CNTKClassifier, CNTKRegressor : Kernel regression with this kernel.

    Notes
    -----
    Work grows as pairs of images × pixels × `depth` with flattening, and as pairs × pixels² ×
    `depth` with GAP.  Local average pooling takes up to ``(4 * lap + 1) ** 2`` times as much as
    flattening.  For a plain network without biases, multiplying an image by a > 0 multiplies its
    kernel values by a.

    For feature vectors, this is the kernel of the fully connected network, eq. 9 of [1]_.  Without
    biases, it is a poor prior for functions of one variable, which are then two straight lines
    that meet at 0.  Set a `bias_variance`, which Gaussian processes optimise along with
    `weight_variance`, where the bounds are not "fixed".

    References
    ----------
    {arora}
    {li}

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cntk import CNTK
    >>> images = np.random.default_rng(0).random((5, 8, 8))
    >>> K = CNTK(depth=4)(images)
    >>> K.shape, bool(np.all(K == K.T))
    ((5, 5), True)

    Flattened rows, as most of scikit-learn expects them:

    >>> from sklearn.kernel_ridge import KernelRidge
    >>> ridge = KernelRidge(kernel=CNTK(depth=4, image_shape=(8, 8)), alpha=1e-3)
    >>> ridge.fit(images.reshape(5, 64), np.arange(5)).predict(images.reshape(5, 64)).shape
    (5,)

    Gaussian processes find the variances that suit the data best:

    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> kernel = CNTK(3, bias_variance=1.0, bias_variance_bounds=(1e-3, 1e3))
    >>> X = np.linspace(-2, 2, 20)[:, np.newaxis]
    >>> process = GaussianProcessRegressor(kernel, alpha=0.01).fit(X, np.cos(3 * X[:, 0]))
    >>> bool(0.01 < process.kernel_.bias_variance < 100)
    True
    """

    def _gram(self, X, Y=None):
        if has_formulas(self, X):
            return gram_of_vectors(self, X, Y)[0]
        (K,) = self._job(X).gram(X, Y, transposes=True)
        return K

    def _gram_and_gradient(self, images):
        if self.n_dims:
            return gram_and_gradient(self, images)
        return super()._gram_and_gradient(images)

    def _diagonal(self, images):
        (values,) = self._job(images).diagonals(images)
        return values

    def estimate(
        self, n_x: int, n_y: int | None = None, *, image_shape: ImageShape = None
    ) -> Estimate:
        """Estimate the cost of a Gram matrix on the devices that would compute it now.

        {measured}

        Parameters
        ----------
        n_x : int
            Number of images.
        n_y : int or None, default=None
            Number of other images; None means the symmetric Gram matrix of the `n_x` images.
        {image_shape_to_estimate_for}

        Returns
        -------
        {Estimate}

        Raises
        ------
        ValueError, TypeError
            A number below 1, or no `image_shape`.

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
        job = self._job(image_to_estimate_for(self.image_shape, image_shape))
        return estimate(job, n_x, n_y, transposes=True)

    def _job(self, images, readouts=None):
        """Return the computation that the parameters ask for, after checking them all."""
        job = Job.of(self, images, readouts)
        return replace(job, dtype="float64") if self.n_dims else job


@fill_docs_like(KernelParameters)
def cntk_path(
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    depths: Sequence[int],
    gap: Sequence[bool] = (True, False),
    lap: Sequence[int] = (),
    trained_layers: Sequence[TrainedLayers] = ("all",),
    filter_size: int = 3,
    bias_variance: float = 0.0,
    weight_variance: float | None = None,
    image_shape: ImageShape = None,
    network: str | Network = "plain",
    frozen_layers: int = 0,
    flip: bool = False,
    normalize: bool = False,
    device: str = "auto",
    dtype: Dtype = "float32",
    n_jobs: int | None = -1,
    memory: Memory = None,
    verbose: int | bool | str = "auto",
) -> tuple[FloatArray, list[dict[str, Any]]]:
    """Compute kernel matrices of many architectures for the price of the most expensive one.

    The state of the recursion after h convolutions ([1]_, section 4) holds the kernel of depth
    h + 1 for every pooling.  A pass at the largest depth thus computes every smaller depth, GAP,
    flattening, local average pooling and the NNGP kernel on its way.

    Parameters
    ----------
    {X}
    Y : array-like of the same kind with m images, default=None
        None computes the symmetric Gram matrices of `X` from their upper triangles.
    depths : sequence of int
        Depths of the networks.
    gap : sequence of bool, default=(True, False)
        Poolings: True for global average pooling, False for flattening.
    lap : sequence of int, default=()
        Radii of local average pooling, in addition to `gap`.
    trained_layers : sequence of {"all", "hidden", "last"}, default=("all",)
        See :class:`CNTK`.
    {parameters}

    Returns
    -------
    grams : ndarray of float64, shape (n_readouts, n, m)
        Gram matrices.  For plain networks without biases they equal those of single kernels bit
        for bit; for other networks, up to the rounding of `dtype`.
    readouts : list of dict
        The parameters ``depth``, ``gap``, ``lap``, ``trained_layers`` and, if it is not 0,
        ``frozen_layers`` of each Gram matrix, as :class:`CNTK` takes them.

    Raises
    ------
    {unusable_at_once}
    MemoryError
        The Gram matrices do not fit into memory; nothing is computed then.

    See Also
    --------
    CNTKClassifierCV, CNTKRegressorCV : Searches over these kernels.

    References
    ----------
    {arora}
    {li}

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
    readouts = path_readouts(
        depths, gap, lap, trained_layers, network=network, frozen_layers=frozen_layers
    )
    symmetric = Y is None or Y is X
    X = as_images(X, image_shape)
    Y = None if symmetric else as_images(Y, image_shape, name="Y")
    kernel = CNTK(
        filter_size=filter_size,
        bias_variance=bias_variance,
        weight_variance=weight_variance,
        network=network,
        frozen_layers=frozen_layers,
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
    return job.gram(X, Y, transposes=True), [readout.parameters for readout in readouts]
