"""The centre of a teacher's outputs, which keeps one of them from winning (DINO, arXiv 2104.14294, Section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.modules.distributed import gather


class Centre(nn.Module):
    """A slow mean of the teacher's outputs; a buffer, so it is saved with the training state.

    Args:
        dimension: K, the outputs' width.
        momentum: m.
    """

    centre: Tensor  # (K,)

    def __init__(self, dimension: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(dimension))
        self.momentum = momentum

    @torch.no_grad()
    def update(self, outputs: Tensor) -> None:
        """Move towards the global batch's mean: c <- m c + (1 - m) mean (Eq. 4).

        Args:
            outputs: This process's, (..., K); every process has as many.
        """
        mine = outputs.float().flatten(0, -2).mean(dim=0, keepdim=True)
        self.centre.lerp_(gather(mine).mean(dim=0).to(self.centre.dtype), 1 - self.momentum)
