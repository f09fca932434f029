"""The parameters that public classes share, see `_support.parameters`.

Signatures have the parameters of the last base first.  A new parameter of the network belongs into
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
        Layers of the network, counted as in Table 1 of [1]_: ``depth - 1`` convolutions with
        ReLU, and a dense layer.  At least 1, which is the linear kernel of the pixels (3 with
        ``trained_layers="hidden"``).  None is 6, and all layers of another `network`; of such a
        network a number takes what comes before convolution number `depth`, pools included.
        """,
        default=None,
    )
    gap: bool = parameter(
        "bool",
        """
        Global average pooling before the dense layer (CNTK-GAP) instead of flattening (CNTK-V).
        Costs height × width times as much.
        """,
        default=True,
    )


@parameters(kw_only=True)
class FrozenParameters:
    """Which convolutions are not trained."""

    frozen_layers: int = parameter(
        "int",
        """
        The first so many convolutions are not trained, nor their biases; bodies of residual blocks
        count before their shortcuts.  Only with ``trained_layers`` "all" or "hidden".
        """,
        default=0,
    )


@parameters(kw_only=True)
class LayerParameters(FrozenParameters):
    """The layers of one network, which searches vary."""

    network: str | Network = parameter(
        '{"plain", "myrtle5", "myrtle7", "myrtle10"} or Network',
        """
        "plain" is the paper's: convolutions of `filter_size` with ReLU.  The Myrtle networks have
        2×2 average pools between their convolutions; with GAP "myrtle5" costs a fifth of a plain
        network of depth 11.  A :class:`~sklearn_cntk.networks.Network` has any layers: its
        parameters are set as ``network__bias_variance`` and the like.
        """,
        default="plain",
    )


@parameters(kw_only=True)
class LocalPoolingParameters:
    """Local pooling of one network, which searches vary, and networks of finite width lack."""

    lap: int = parameter(
        "int",
        """
        Radius c of local average pooling before the dense layer, over windows of
        ``(2 * lap + 1) ** 2`` pixels [2]_; excludes ``gap=True``.  0 pools nothing.
        """,
        default=0,
    )


@parameters(kw_only=True)
class NetworkParameters:
    """What all networks of a class have in common, in searches too."""

    trained_layers: TrainedLayers = parameter(
        '{"all", "hidden", "last"}',
        """
        Layers that are trained.  "all" is section 4 of [1]_; "hidden" freezes the first and last
        layer (appendix H: the published GAP figures); "last" trains the dense layer alone, which
        gives the NNGP (CNN-GP) kernel, eq. 1.
        """,
        default="all",
    )
    filter_size: int = parameter(
        "int",
        """
        Side of the square filters of a plain network, odd.  Stride 1, zero padding.  Along an axis
        of one pixel, as of signals and feature vectors, filters have one pixel.
        """,
        default=3,
    )
    bias_variance: float = parameter(
        "float",
        """
        Variance of the biases of all layers of a plain network.  The paper has none; feature
        vectors and regression often want some, such as 0.1 with standardized inputs.
        """,
        default=0.0,
    )
    weight_variance: float | None = parameter(
        "float or None",
        """
        Variance of the weights of all layers of a plain network, above 0, before they are divided
        by the number of their inputs.  None is the paper's: 1 in the first layer, and 2 behind a
        ReLU, which keeps the size of activations.
        """,
        default=None,
    )
    image_shape: ImageShape = parameter(
        "tuple (height, width, channels), (height, width) or (length,)",
        """
        Shape of the images that rows of 2-D input hold, in C order.  3-D (n, height, width) and
        4-D (n, height, width, channels) arrays carry their own.  (length,) and
        (1, length, channels) are signals, which 3-D arrays (n, length, channels) hold too.  None
        takes rows as feature vectors, that is images of one pixel.
        """,
        default=None,
    )


@parameters(kw_only=True)
class ComputationParameters:
    """What the kernel makes of the network, and how it is computed."""

    flip: bool = parameter(
        "bool",
        """
        Mean of the kernels of an image and of its mirror image (left to right),
        ``(K(x, x') + K(flip(x), x')) / 2``: the same as adding the mirror images to the training
        set, at a quarter of its Gram matrix [2]_.
        """,
        default=False,
    )
    normalize: bool = parameter(
        "bool",
        """
        Divide kernel values by ``sqrt(K(x, x) K(x', x'))``.  An all-zero image keeps the value 0.
        """,
        default=False,
    )
    device: str = parameter(
        '{"auto", "cpu", "cuda", "cuda:N"}',
        """
        Where to compute.  "cuda" shares the work among all GPUs; "auto" does so where CuPy finds
        usable ones, and else takes the CPU.  CuPy comes with ``pip install
        sklearn-cntk[cuda12x]`` or ``[cuda13x]``.
        """,
        default="auto",
    )
    dtype: Dtype = parameter(
        '{"float32", "float64"}',
        """
        Precision of the recursion.  Results are float64 and agree to about 1e-6 (relative)
        between the two; those of nearly parallel images (near-duplicates, or a large common
        offset) to 1e-4 at depth 4, and worse in deeper networks.  Feature vectors, which cost
        little, are always computed in float64.
        """,
        default="float32",
    )
    n_jobs: int | None = parameter(
        "int or None",
        """
        Parallel tiles, as in joblib; -1 uses all cores.  ``joblib.parallel_config`` may override
        how they run.
        """,
        default=-1,
    )
    memory: Memory = parameter(
        "str, path-like, KernelStore or None",
        """
        Folder in which computed kernel entries are kept, by the content of the images, with those
        of all smaller depths: pairs that were met before, in a search, another process or an
        interrupted run, are read instead of computed.  See :class:`KernelStore`.
        """,
        default=None,
    )


@parameters(kw_only=True)
class ProgressParameters:
    """What is shown meanwhile."""

    verbose: int | bool | str = parameter(
        'int or "auto"',
        """
        1 shows progress, pairs of images a second and the time left, and says which solver is used;
        0 shows nothing.  "auto" shows progress of work that lasts over 10 s, in terminals and
        notebooks.
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
        Ridge, relative to the mean of the Gram matrix's diagonal: it means the same at every
        depth.  The paper uses none; 1e-5 covers the rounding of float32.
        """,
        default=1e-5,
    )
    train_size: float | None = parameter(
        "int, float or None",
        """
        Number (int) or fraction (float) of the training rows to use, drawn at random, with the
        shares of the classes kept where there are classes: training-set size as a hyperparameter.
        None uses all.
        """,
        default=None,
    )
    training_time: float | None = parameter(
        "float or None",
        """
        Time of training by gradient flow, for early stopping (eqs. 3 to 5 of [1]_), in units of
        1 / mean of the Gram matrix's diagonal: it means the same at every depth, and acts much
        like an `alpha` of 1 / `training_time`.  None trains to the end.
        """,
        default=None,
    )


@parameters(kw_only=True)
class InterceptParameters:
    """What regressors do with the mean of their targets."""

    fit_intercept: bool = parameter(
        "bool",
        """
        Take the mean of the targets out before fitting, and add it to predictions.  The paper's
        network has no bias, so that most of what it learned of targets far from 0 would be their
        mean.  False is eq. 5 of [1]_ as it stands, which suits targets that grow with the pixels.
        """,
        default=True,
    )


@parameters(kw_only=True)
class SolverParameters:
    """How it is solved for."""

    solver: SolverName = parameter(
        '{"auto", "cholesky", "cg", "nystroem"}',
        """
        "cholesky" factors the Gram matrix in memory, or on a GPU of `device` that has room for
        it; "cg" iterates with it, in memory or in `gram_store`; "nystroem" uses `n_components`
        landmarks, at a cost linear in the number of training images.  "auto" is "cholesky" where
        the matrix fits, else "cg" with `gram_store`.  All solve in float64.
        """,
        default="auto",
    )
    n_components: int | None = parameter(
        "int or None", 'Number of landmarks of "nystroem".', default=None
    )
    landmarks: Landmarks = parameter(
        '{"uniform", "pivoted"}',
        """
        How "nystroem" draws them: "pivoted" prefers images that those drawn before represent
        badly (randomly pivoted Cholesky), and holds 8 bytes × images × `n_components`.
        """,
        default="uniform",
    )
    gram_store: Any = parameter(
        "str, path-like, zarr store or None",
        """
        Where :func:`gram_to_zarr` keeps the Gram matrix of a training set, for "cholesky" and
        "cg": an interrupted fit resumes there.  It holds one kernel and one training set; for
        searches see `memory`.  In float64, unless :func:`gram_to_zarr` made it in float32 before.
        """,
        default=None,
    )
    tol: float = parameter("float", 'Relative residual at which "cg" stops.', default=1e-6)
    max_iter: int = parameter("int", "Largest number of its iterations.", default=1000)
    random_state: RandomState = parameter(
        "int, RandomState instance or None",
        'Draws the rows of `train_size`, the landmarks of "nystroem" and the pivots of "cg".',
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
        Candidate depths; all cost as much as the largest.  Of several `networks` each takes those
        that it has.  None is (3, 4, 6, 11), and all layers of other networks than "plain".
        """,
        default=None,
    )
    gaps: Sequence[bool] = parameter(
        "sequence of bool",
        """
        Candidate poolings: global average pooling, or flattening.  (True, False) costs as much
        as (True,).
        """,
        default=(True, False),
    )


@parameters(kw_only=True)
class ScoringParameters:
    """The other candidates, and how a search scores them."""

    networks: Sequence[str | Network] = parameter(
        'sequence of {"plain", "myrtle5", "myrtle7", "myrtle10"} or Network',
        """
        Candidate networks, see `network` of :class:`CNTK`; each is a pass of its own.
        `filter_size`, `bias_variance` and `weight_variance` are those of "plain".
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
        "As in :class:`~sklearn.model_selection.GridSearchCV`, but None is leave-one-out.",
        default=None,
    )
    scoring: Scoring = parameter(
        "str, callable, list, tuple, dict or None",
        """
        One metric or several, as in :class:`~sklearn.model_selection.GridSearchCV`; None is
        accuracy or R².  With leave-one-out the score is that of all predictions together.
        """,
        default=None,
    )
    refit: bool | str | Callable = parameter(
        "True, str or callable",
        """
        Of several metrics, the name of that by which the best candidate is chosen; or a function
        of ``cv_results_`` that returns its index.  It is always fitted to all rows.
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
