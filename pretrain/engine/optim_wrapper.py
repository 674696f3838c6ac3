"""The optimizer's step: in which precision, with which gradients clipped, without the parameters that rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from pretrain.engine.precision import autocast


@torch.no_grad()
def clip_each_(parameters: list[nn.Parameter], max_norm: float) -> torch.Tensor:
    """Scale every gradient whose L2 norm is above `max_norm` down to it; return the largest norm there was."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch._foreach_norm(gradients)
    torch._foreach_mul_(gradients, [(max_norm / (norm + 1e-6)).clamp(max=1) for norm in norms])
    return torch.stack(norms).max()


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """An OptimWrapper whose forward pass runs under autocast, also on a CPU.

    bfloat16 has float32's exponent range, so no loss scaling is needed.

    # NOTE: mmengine's AmpOptimWrapper refuses to run on a CPU.

    Args:
        precision: "float32" or "bfloat16".
        clip_each: Clip every parameter's gradient by its own norm; mmengine clips all by their common one.

    Attributes:
        resting: Parameters that the next step leaves as they are; their gradients are computed (as whatever joins
            the ranks' gradients expects) and dropped.
    """

    def __init__(self, precision: str = "float32", clip_each: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.precision = precision
        self.resting: Sequence[nn.Parameter] = ()
        if clip_each and self.clip_grad_kwargs is not None:
            self.clip_func, self.grad_name = clip_each_, "largest_grad_norm"

    def step(self, **kwargs: object) -> None:
        """Clip and step, without the parameters that rest."""
        for parameter in self.resting:
            parameter.grad = None
        super().step(**kwargs)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enable autocast and, while gradients accumulate, suspend their synchronisation."""
        with super().optim_context(model), autocast(self.precision):
            yield
