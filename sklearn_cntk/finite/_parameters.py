"""The parameters of finite networks (see `_support.parameters`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._models.parameters import DepthParameters, LayerParameters, NetworkParameters
from .._support.parameters import parameter, parameters

if TYPE_CHECKING:
    from typing import Literal

    from .._support.typing import Dtype, RandomState, TrainedLayers

_TOL = """
Stop when the training loss is at most `tol` times the loss of predicting 0.  "auto" is
{}.
"""


@parameters(kw_only=False)
class FiniteDepthParameters(DepthParameters):
    """The architecture; for finite networks, all kinds of pooling cost the same."""

    gap: bool = parameter(
        text="""
        Global average pooling before the dense layer (CNN-GAP) instead of flattening (CNN-V).
        """,
        default=True,
    )


@parameters(kw_only=True)
class FiniteNetworkParameters(LayerParameters, NetworkParameters, FiniteDepthParameters):
    """The parameters of `ConvolutionalNetwork`."""

    trained_layers: TrainedLayers = parameter(
        text="""
        Layers that are trained; the others keep their random weights and biases.  "hidden" trains
        all layers but the first and the last (appendix H of [1]_), "last" only the dense layer.
        """,
        default="all",
    )
    width: int = parameter("int", "Number of channels of each convolution.", default=128)


@parameters(kw_only=True)
class TorchParameters:
    """The device and precision of computations in PyTorch."""

    device: str = parameter(
        '{"auto", "cpu", "cuda", "cuda:N"}',
        """
        Where to compute.  "auto" uses a GPU if PyTorch finds one, and otherwise the CPU.
        """,
        default="auto",
    )
    dtype: Dtype = parameter(
        '{"float32", "float64"}', "Precision of the network.", default="float32"
    )


@parameters(kw_only=True)
class DescentParameters:
    """Training by stochastic gradient descent."""

    kappa: float = parameter(
        "float",
        """
        Root mean square of the random initial function, relative to that of the targets.  The
        output is multiplied by a factor κ (Theorem 3.2 of [1]_), which is chosen to give this size,
        so that the parameter means the same at every depth.  With smaller values, less of the
        initial function is left in predictions, and the weights have to move further.
        """,
        default=0.1,
    )
    lr: float | Literal["auto"] = parameter(
        'float or "auto"',
        """
        Learning rate for the loss, the mean over a batch of ½ ‖κ f(x) − y‖².  "auto" is
        1 / λ_max of the empirical kernel at the start, half the largest stable rate (kernels, and
        so suitable rates, differ by orders of magnitude between depths).  If training diverges, it
        restarts with a quarter of the rate, up to four times.
        """,
        default="auto",
    )
    momentum: float = parameter(
        "float", "Momentum of the gradient descent; the paper uses none.", default=0.0
    )
    batch_size: int = parameter(
        "int",
        "Images per step.  At least the number of training images gives full gradient descent.",
        default=128,
    )
    max_epochs: int = parameter("int", "Maximum number of passes over the images.", default=200)
    tol: float | Literal["auto"] = parameter('float or "auto"', default="auto")
    random_state: RandomState = parameter(
        "int, RandomState instance or None",
        "Determines the random weights and the order of the images.",
        default=None,
    )


@parameters(kw_only=True)
class TrainedNetworkParameters(TorchParameters, DescentParameters, FiniteNetworkParameters):
    """The parameters of an estimator that trains a network."""

    verbose: int | bool = parameter("int", "1 shows progress: epochs and the loss.", default=0)


@parameters(kw_only=True)
class TrainedRegressorParameters(TrainedNetworkParameters):
    """The parameters of a trained network for regression."""

    tol: float | Literal["auto"] = parameter(text=_TOL.format("1e-4"), default="auto")


@parameters(kw_only=True)
class TrainedClassifierParameters(TrainedNetworkParameters):
    """The parameters of a trained network for classification."""

    tol: float | Literal["auto"] = parameter(
        text=_TOL.format("full training accuracy"), default="auto"
    )


@parameters(kw_only=True)
class DrawParameters:
    """The draws of networks with random weights."""

    n_draws: int = parameter("int", default=1)
    random_state: RandomState = parameter(
        "int, RandomState instance or None",
        "Determines the weights drawn in :meth:`fit`.  Integers from 0 to 2**32 - 1.",
        default=None,
    )


@parameters(kw_only=True)
class RandomNetworkParameters(TorchParameters, DrawParameters, FiniteNetworkParameters):
    """The parameters of gradients of networks with random weights."""

    trained_layers: TrainedLayers = parameter(
        text="""
        Layers with respect to whose weights gradients are taken; see :class:`~sklearn_cntk.CNTK`.
        """,
        default="all",
    )
    dtype: Dtype = parameter(text="Precision of the networks.", default="float32")


@parameters(kw_only=True)
class EmpiricalParameters(RandomNetworkParameters):
    """The parameters of a kernel of random networks."""

    n_draws: int = parameter(text="Number of random networks to average over.", default=1)
    random_state: int = parameter(
        "int",
        """
        Determines the random weights: an integer from 0 to 2**32 - 1.  It has to be an integer so
        that every call and every clone uses the same networks, and blocks of a matrix that are
        computed separately fit together.
        """,
        default=0,
    )
    verbose: int | bool = parameter("int", "1 shows progress.", default=0)


@parameters(kw_only=True)
class FeatureParameters(RandomNetworkParameters):
    """The parameters of random features."""

    trained_layers: TrainedLayers = parameter(default="last")
    n_draws: int = parameter(
        text="Number of random networks, whose features are concatenated.", default=1
    )
    dtype: Dtype = parameter(
        text="Precision of the networks and of the features.", default="float32"
    )
