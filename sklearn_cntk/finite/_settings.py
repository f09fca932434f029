"""PyTorch's settings around a call, which estimators and kernels must not depend on."""

from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def default_settings():
    """PyTorch as it is by default: with gradients, on the CPU, in the precision that is asked for.

    Whatever ``no_grad``, ``inference_mode``, ``set_default_device`` or ``autocast`` say around.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield
