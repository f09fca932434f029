"""Training by stochastic gradient descent: the loop, its learning rate, and when it stops."""

import math

import torch
from torch.func import functional_call

# Images from which the largest stable learning rate is found, and steps of the power iteration.
_IMAGES = 128
_STEPS = 20

# How many times the loss of the start, or of predicting 0, a batch's may be.
_GROWTH = 20


def largest_stable_rate(network, images, kappa):
    """2 / λ_max, above which gradient descent diverges (for the linearised network: exactly).

    λ_max is the largest eigenvalue of the empirical kernel of ``kappa * network`` over all images
    and outputs, divided by the number of images, since the loss is a mean over images.

    Parameters
    ----------
    network : ConvolutionalNetwork
    images : Tensor (n, C, P, Q)
        The first ones are used.
    kappa : float

    Returns
    -------
    float
    """
    images = images[:_IMAGES]
    weights = list(network.trained.values())
    with torch.enable_grad():
        outputs = kappa * network(images)
        # The gradient g(u) = Jᵀ u is linear in u, and its own gradient by u is J.
        u = torch.zeros_like(outputs, requires_grad=True)
        pulled = torch.autograd.grad(outputs, weights, u, create_graph=True)
        generator = torch.Generator().manual_seed(0)
        vector = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
        vector = vector.to(outputs)
        eigenvalue = 0.0
        for _ in range(_STEPS):  # power iteration with J Jᵀ
            vector = vector / vector.norm()
            direction = torch.autograd.grad(outputs, weights, vector, retain_graph=True)
            (vector,) = torch.autograd.grad(pulled, u, direction, retain_graph=True)
            eigenvalue = float(vector.norm())
            if eigenvalue == 0 or not math.isfinite(eigenvalue):
                break
    return 2 * len(images) / eigenvalue if eigenvalue > 0 else math.inf


def initial_scale(network, images):
    """Root mean square of the outputs of networks with these filters and any dense layer.

    That is of the outputs' standard deviation under the dense layer's N(0, 1) parameters, given the
    filters: hardly random, other than the few outputs of one network.

    Parameters
    ----------
    network : ConvolutionalNetwork
    images : Tensor (n, C, P, Q)
        The first ones are used.

    Returns
    -------
    float
        0 if every image is 0, and there are no biases.
    """
    with torch.no_grad():
        _, layers = network.layers(images[:_IMAGES])
    factor, inputs, _ = layers[-1]
    of_weights = factor * math.sqrt(float(inputs.double().square().sum(dim=1).mean()))
    return math.hypot(of_weights, network.bias_factor)


def train(
    network, images, targets, *, kappa, rate, momentum, batch_size, max_epochs, generator, done, bar
):
    """Minimise the mean over images of ½ ‖kappa f(x) − y‖² by stochastic gradient descent.

    Parameters
    ----------
    network : ConvolutionalNetwork
        Changed in place.
    images : Tensor (n, C, P, Q)
    targets : Tensor (n, k)
    kappa, rate, momentum : float
    batch_size, max_epochs : int
    generator : torch.Generator
        Orders the images.
    done : callable (outputs, loss) -> bool
        Whether to stop, from the outputs for all images in their order, and their loss.
    bar : callable (loss)
        Called after each epoch.

    Returns
    -------
    list of float
        The loss over all images after each epoch.

    Raises
    ------
    OverflowError
        The loss is not finite, or a batch's has grown twentyfold, or all outputs have become 0:
        training diverges.
    """
    optimizer = torch.optim.SGD(network.trained.values(), lr=rate, momentum=momentum)
    losses = []
    limit = _GROWTH * max(_loss(predict(network, images, kappa), targets), _loss(0, targets))
    worst = torch.zeros((), dtype=targets.dtype, device=targets.device)
    for _ in range(max_epochs):
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for rows in order.split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            error = kappa * network(images[rows]) - targets[rows]
            loss = error.square().sum() / (2 * len(rows))
            loss.backward()
            optimizer.step()
            # Kept where it is, so that no step waits for it; NaN propagates.
            worst = torch.maximum(worst, loss.detach())
        outputs = predict(network, images, kappa)
        losses.append(_loss(outputs, targets))
        bar(losses[-1])
        grown = not float(worst) <= limit or not losses[-1] <= limit
        # Steps that are too long may also leave all units of a layer dead, with a loss that is
        # not large at all: the outputs are exactly 0 for good.
        dead = len(losses) > 1 and not outputs.any() and bool(targets.any())
        if rate > 0 and (grown or dead):
            raise OverflowError(losses[-1])
        if done(outputs, losses[-1]):
            break
    return losses


def predict(network, images, kappa, dtype=None, batch_size=256):
    """Outputs (n, k) times kappa.

    With ``dtype=torch.float64``, whatever the precision of the weights, they do not depend on how
    many images share a batch (but for rounding in float64).
    """
    weights = {name: value.detach().to(dtype) for name, value in network.named_parameters()}
    with torch.no_grad():
        batches = [
            functional_call(network, weights, (batch.to(dtype),))
            for batch in images.split(batch_size)
        ]
    return kappa * torch.cat(batches)


def _loss(outputs, targets):
    return float((outputs - targets).square().sum()) / (2 * len(targets))
