"""Training by stochastic gradient descent: the loop, its learning rate and stopping."""

import math

import torch
from torch.func import functional_call

# Number of images for estimating the largest stable learning rate, and of power-iteration steps.
_IMAGES = 128
_STEPS = 20

# Training diverges if the loss of a batch exceeds this multiple of the initial loss or, if that is
# larger, of the loss of predicting 0.
_GROWTH = 20


def largest_stable_rate(network, images, kappa):
    """Return 2 / λ_max, above which gradient descent diverges (exact for the linearised network).

    λ_max is the largest eigenvalue of the empirical kernel of ``kappa * network`` over all images
    and outputs, divided by the number of images because the loss is a mean over images.

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
        # The gradient g(u) = Jᵀ u is linear in u, and its derivative with respect to u gives J.
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
    """Return the root mean square output of networks with these filters and a random dense layer.

    This is the standard deviation over N(0, 1) parameters of the dense layer, given the filters.
    It is hardly random, unlike the few outputs of one network.

    Parameters
    ----------
    network : ConvolutionalNetwork
    images : Tensor (n, C, P, Q)
        The first ones are used.

    Returns
    -------
    float
        0 if every image is 0 and there are no biases.
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
        Draws the order of the images.
    done : callable (outputs, loss) -> bool
        Returns whether to stop, given the outputs for all images in order and their loss.
    bar : callable (loss)
        Called after each epoch.

    Returns
    -------
    list of float
        The loss over all images after each epoch.

    Raises
    ------
    OverflowError
        If training diverges: the loss is not finite, that of a batch has grown twentyfold, or all
        outputs have become 0.
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
            # Kept on the device, so that no step waits for it; NaN propagates.
            worst = torch.maximum(worst, loss.detach())
        outputs = predict(network, images, kappa)
        losses.append(_loss(outputs, targets))
        bar(losses[-1])
        grown = not float(worst) <= limit or not losses[-1] <= limit
        # Steps that are too large may also leave all units of a layer dead.  The loss is then not
        # large, but the outputs stay exactly 0.
        dead = len(losses) > 1 and not outputs.any() and bool(targets.any())
        if rate > 0 and (grown or dead):
            raise OverflowError(losses[-1])
        if done(outputs, losses[-1]):
            break
    return losses


def predict(network, images, kappa, dtype=None, batch_size=256):
    """Return the outputs (n, k) times kappa.

    With ``dtype=torch.float64``, they do not depend on how many images share a batch (except for
    rounding in float64), whatever the precision of the weights.
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
