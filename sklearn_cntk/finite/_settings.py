"""Global settings of PyTorch, on which estimators and kernels must not depend."""

from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def default_settings():
    """Use PyTorch's default settings: with gradients, on the CPU, in the requested precision.

    This overrides a surrounding ``no_grad``, ``inference_mode``, ``set_default_device`` or
    ``autocast``.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield
