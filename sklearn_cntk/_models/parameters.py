"""The parameters that public classes share, see `_support.parameters`.

Signatures have the parameters of the last base first.  A new parameter of the network belongs in
`NetworkParameters`, `_support.architecture.Architecture`, `cntk_path` and `ConvolutionalNetwork`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._support.parameters import parameter, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._store.entries import Memory
    from .._support.network import Network
    from .._support.typing import (
        Any,
        Cv,
        Dtype,
        ImageShape,
        Landmarks,
        RandomState,
        Scoring,
        Sequence,
        SolverName,
        TrainedLayers,
    )


@parameters(kw_only=False)
class DepthParameters:
    """The architecture of one network, which searches vary."""

    depth: int | None = parameter(
        "int or None",
        """
        Number of layers, counted as in Table 1 of [1]_: ``depth - 1`` convolutions with ReLU, and
        a dense layer.  At least 1, which gives the linear kernel of the pixels (at least 3 with
        ``trained_layers="hidden"``).  None means 6 for a plain network, and all layers for any
        other `network`, of which a number keeps the layers before convolution number `depth`,
        pools included.
        """,
        default=None,
    )
    gap: bool = parameter(
        "bool",
        """
        Whether to use global average pooling (CNTK-GAP) instead of flattening (CNTK-V) before the
        dense layer.  It costs height × width times as much.
        """,
        default=True,
    )


@parameters(kw_only=True)
class FrozenParameters:
    """Which convolutions are not trained."""

    frozen_layers: int = parameter(
        "int",
        """
        Number of convolutions, from the first one on, that are not trained, nor are their biases;
        bodies of residual blocks count before their shortcuts.  Only with ``trained_layers`` "all"
        or "hidden".
        """,
        default=0,
    )


@parameters(kw_only=True)
class LayerParameters(FrozenParameters):
    """The layers of one network, which searches vary."""

    network: str | Network = parameter(
        '{"plain", "myrtle5", "myrtle7", "myrtle10"} or Network',
        """
        "plain" is the paper's network: convolutions of `filter_size` with ReLU.  The Myrtle
        networks have 2×2 average pools between their convolutions; with GAP, "myrtle5" costs a
        fifth of a plain network of depth 11.  A :class:`~sklearn_cntk.networks.Network` may have
        any layers; set its parameters as ``network__bias_variance`` and so on.
        """,
        default="plain",
    )


@parameters(kw_only=True)
class LocalPoolingParameters:
    """Local pooling of one network, which searches vary and networks of finite width lack."""

    lap: int = parameter(
        "int",
        """
        Radius c of local average pooling before the dense layer, over windows of
        ``(2 * lap + 1) ** 2`` pixels [2]_; needs ``gap=False``.  0 means no local pooling.
        """,
        default=0,
    )


@parameters(kw_only=True)
class NetworkParameters:
    """What all networks of a class have in common, also in searches."""

    trained_layers: TrainedLayers = parameter(
        '{"all", "hidden", "last"}',
        """
        Which layers are trained.  "all" is section 4 of [1]_; "hidden" freezes the first and last
        layers, as for the CNTK-GAP rows of Table 1 (appendix H); "last" trains only the dense
        layer, which gives the NNGP (CNN-GP) kernel, eq. 1.
        """,
        default="all",
    )
    filter_size: int = parameter(
        "int",
        """
        Side of the square filters of a plain network, an odd number.  Filters have stride 1 and
        zero padding.  Along an axis of one pixel, as in signals and feature vectors, filters have
        one pixel.
        """,
        default=3,
    )
    bias_variance: float = parameter(
        "float",
        """
        Variance of the biases of all layers of a plain network.  The paper has no biases; feature
        vectors and regression often benefit from some, such as 0.1 with standardised inputs.
        """,
        default=0.0,
    )
    weight_variance: float | None = parameter(
        "float or None",
        """
        Variance of the weights of all layers of a plain network, above 0, before division by the
        number of inputs.  None uses the paper's values: 1 in the first layer, and 2 after a ReLU,
        which preserves the size of activations.
        """,
        default=None,
    )
    image_shape: ImageShape = parameter(
        "tuple (height, width, channels), (height, width) or (length,)",
        """
        Shape of the images in the rows of 2-D input, in C order.  3-D (n, height, width) and 4-D
        (n, height, width, channels) arrays have their own shape.  (length,) and
        (1, length, channels) are signals, which may also come as 3-D arrays (n, length, channels).
        None treats rows as feature vectors, which are images of one pixel.
        """,
        default=None,
    )


@parameters(kw_only=True)
class ComputationParameters:
    """How the kernel follows from the network, and how it is computed."""

    flip: bool = parameter(
        "bool",
        """
        Whether to average the kernels of an image and of its mirror image (left to right),
        ``(K(x, x') + K(flip(x), x')) / 2``.  This equals adding the mirror images to the training
        set, with a Gram matrix a quarter as large [2]_.
        """,
        default=False,
    )
    normalize: bool = parameter(
        "bool",
        """
        Whether to divide kernel values by ``sqrt(K(x, x) K(x', x'))``.  The values of an all-zero
        image stay 0.
        """,
        default=False,
    )
    device: str = parameter(
        '{"auto", "cpu", "cuda", "cuda:N"}',
        """
        Where to compute.  "cuda" shares the work among all GPUs; "auto" does so if CuPy finds
        usable GPUs, and otherwise uses the CPU.  Install CuPy with ``pip install
        sklearn-cntk[cuda12x]`` or ``[cuda13x]``.
        """,
        default="auto",
    )
    dtype: Dtype = parameter(
        '{"float32", "float64"}',
        """
        Precision of the recursion.  Results are float64, and the two precisions agree to about
        1e-6 (relative).  For nearly parallel images (near-duplicates, or a large common offset)
        they agree to 1e-4 at depth 4, and less closely in deeper networks.  Feature vectors, which
        cost little, are always computed in float64.
        """,
        default="float32",
    )
    n_jobs: int | None = parameter(
        "int or None",
        """
        Number of tiles computed in parallel, as in joblib; -1 uses all cores.
        ``joblib.parallel_config`` may override how they run.  On the CPU, no threads are started
        for matrices that take less than some 30 ms.
        """,
        default=-1,
    )
    memory: Memory = parameter(
        "str, path-like, KernelStore or None",
        """
        Folder in which computed kernel entries are kept, by the content of the images, with those
        of all smaller depths.  Pairs of images computed before, in a search, another process or an
        interrupted run, are read from there.  See :class:`KernelStore`.
        """,
        default=None,
    )


@parameters(kw_only=True)
class ProgressParameters:
    """What is shown during the computation."""

    verbose: int | bool | str = parameter(
        'int or "auto"',
        """
        1 shows progress, pairs of images per second and the time left, and prints which solver is
        used; 0 shows nothing.  "auto" shows the progress of work that takes more than 10 s, in
        terminals and notebooks.
        """,
        default="auto",
    )


@parameters(kw_only=True)
class KernelParameters(
    ProgressParameters,
    ComputationParameters,
    LayerParameters,
    NetworkParameters,
    LocalPoolingParameters,
    DepthParameters,
):
    """The parameters of one kernel, those of the last base first."""


@parameters(kw_only=True)
class RidgeParameters:
    """What is fitted, with any solver."""

    alpha: float = parameter(
        "float",
        """
        Ridge, relative to the mean of the Gram matrix's diagonal, so that it means the same at
        every depth.  The paper uses no ridge; 1e-5 covers the rounding of float32.
        """,
        default=1e-5,
    )
    train_size: float | None = parameter(
        "int, float or None",
        """
        Number (int) or fraction (float) of the training rows to use, drawn at random; classifiers
        keep the shares of the classes.  This makes the size of the training set a hyperparameter.
        None uses all rows.
        """,
        default=None,
    )
    training_time: float | None = parameter(
        "float or None",
        """
        Time of training by gradient flow, for early stopping (eqs. 3 to 5 of [1]_), in units of
        1 / mean of the Gram matrix's diagonal, so that it means the same at every depth.  It acts
        much like an `alpha` of 1 / `training_time`.  None trains to the end.
        """,
        default=None,
    )


@parameters(kw_only=True)
class InterceptParameters:
    """What regressors do with the mean of their targets."""

    fit_intercept: bool = parameter(
        "bool",
        """
        Whether to subtract the mean of the targets before fitting, and add it to predictions.  The
        paper's network has no bias: with targets far from 0 it would learn little but their mean.
        False follows eq. 5 of [1]_ exactly, which suits targets that grow with the pixels.
        """,
        default=True,
    )


@parameters(kw_only=True)
class SolverParameters:
    """How the dual coefficients are computed."""

    solver: SolverName = parameter(
        '{"auto", "cholesky", "cg", "nystroem"}',
        """
        "cholesky" factors the Gram matrix in memory, or on a GPU of `device` that has room for
        it; "cg" iterates with the matrix in memory or in `gram_store`; "nystroem" uses
        `n_components` landmarks, at a cost linear in the number of training images.  "auto" is
        "cholesky" if the matrix fits, and otherwise "cg" with `gram_store`.  All solvers use
        float64.
        """,
        default="auto",
    )
    n_components: int | None = parameter(
        "int or None", 'Number of landmarks of "nystroem".', default=None
    )
    landmarks: Landmarks = parameter(
        '{"uniform", "pivoted"}',
        """
        How "nystroem" draws the landmarks: "uniform" draws all training images with equal
        probability; "pivoted" prefers images that the earlier landmarks represent badly (randomly
        pivoted Cholesky), and needs 8 bytes × images × `n_components`.
        """,
        default="uniform",
    )
    gram_store: Any = parameter(
        "str, path-like, zarr store or None",
        """
        Where "cholesky" and "cg" keep the Gram matrix of the training set, as
        :func:`gram_to_zarr` does: an interrupted fit resumes there.  A store holds one kernel and
        one training set; for searches, see `memory`.  The matrix is in float64, unless
        :func:`gram_to_zarr` created it in float32 before.
        """,
        default=None,
    )
    tol: float = parameter("float", 'Relative residual at which "cg" stops.', default=1e-6)
    max_iter: int = parameter("int", 'Maximum number of iterations of "cg".', default=1000)
    random_state: RandomState = parameter(
        "int, RandomState instance or None",
        """
        Seed for the rows of `train_size`, the landmarks of "nystroem", the pivots of "cg" and, in
        classifiers, the rows left out to calibrate probabilities.
        """,
        default=None,
    )


@parameters(kw_only=True)
class RegressionParameters(
    ProgressParameters,
    SolverParameters,
    ComputationParameters,
    LayerParameters,
    NetworkParameters,
    LocalPoolingParameters,
    RidgeParameters,
    DepthParameters,
):
    """The parameters of kernel regression."""


@parameters(kw_only=True)
class RegressorParameters(InterceptParameters, RegressionParameters):
    """The parameters of kernel regression onto targets, rather than classes."""


@parameters(kw_only=False)
class CandidateParameters:
    """The architectures that a search compares."""

    depths: Sequence[int] | None = parameter(
        "sequence of int, or None",
        """
        Candidate depths; together they cost as much as the largest.  With several `networks`,
        each uses the depths that it has.  None means (3, 4, 6, 11) for "plain", and all layers for
        other networks.
        """,
        default=None,
    )
    gaps: Sequence[bool] = parameter(
        "sequence of bool",
        """
        Candidate poolings: True for global average pooling, False for flattening.  (True, False)
        costs as much as (True,).
        """,
        default=(True, False),
    )


@parameters(kw_only=True)
class ScoringParameters:
    """The other candidates, and how a search scores them."""

    networks: Sequence[str | Network] = parameter(
        'sequence of {"plain", "myrtle5", "myrtle7", "myrtle10"} or Network',
        """
        Candidate networks, see `network` of :class:`CNTK`; each needs a pass of its own.
        `filter_size`, `bias_variance` and `weight_variance` apply to "plain" only.
        """,
        default=("plain",),
    )
    laps: Sequence[int] = parameter(
        "sequence of int",
        "Candidate radii of local average pooling, in addition to `gaps`.",
        default=(),
    )
    alphas: Sequence[float] = parameter(
        "sequence of float",
        "Candidate ridges, relative to the mean of the Gram matrix's diagonal.",
        default=(1e-5, 1e-3, 1e-1),
    )
    cv: Cv = parameter(
        "int, cross-validation generator, iterable or None",
        "As in :class:`~sklearn.model_selection.GridSearchCV`, but None means leave-one-out.",
        default=None,
    )
    scoring: Scoring = parameter(
        "str, callable, list, tuple, dict or None",
        """
        One metric or several, as in :class:`~sklearn.model_selection.GridSearchCV`; None means
        accuracy or R².  With leave-one-out, the score is that of all predictions together.
        """,
        default=None,
    )
    refit: bool | str | Callable = parameter(
        "True, str or callable",
        """
        With several metrics, the name of the one that chooses the best candidate; or a function
        of ``cv_results_`` that returns its index.  The best candidate is always fitted to all
        rows.
        """,
        default=True,
    )


@parameters(kw_only=True)
class SearchParameters(
    ProgressParameters,
    ComputationParameters,
    FrozenParameters,
    NetworkParameters,
    ScoringParameters,
    CandidateParameters,
):
    """The parameters of a search."""


@parameters(kw_only=True)
class RegressorSearchParameters(InterceptParameters, SearchParameters):
    """The parameters of a search of regressors."""
