"""The memory bank of MoCo's ablation (arXiv 1911.05722, Section 3.2; Wu et al. 2018, arXiv 1805.01978)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.modules.distributed import from_first_rank, gather


class MemoryBank(nn.Module):
    """What every image looked like when it was last seen; a buffer, so it is saved with the training state.

    It begins with random unit vectors.

    Args:
        size: How many images there are.
        dimension: D, the vectors' width.
        momentum: How much of an image's vector stays when it is seen again.
    """

    vectors: Tensor  # (size, D), L2-normalised

    def __init__(self, size: int, dimension: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("vectors", F.normalize(torch.randn(size, dimension), dim=1))
        self.momentum = momentum

    def drawn(self, count: int) -> Tensor:
        """Draw vectors of any images, (count, D), the same on every rank."""
        index = from_first_rank(torch.randint(len(self.vectors), (count,), device=self.vectors.device))
        return self.vectors[index]

    @torch.no_grad()
    def update(self, index: Tensor, vectors: Tensor) -> None:
        """Move the vectors of all ranks' images: v <- m v + (1 - m) of what they look like now, at length 1.

        Args:
            index: This rank's images, (B,).
            vectors: What they look like, (B, D).
        """
        index, vectors = gather(index), gather(vectors.to(self.vectors.dtype))
        self.vectors[index] = F.normalize(vectors.lerp(self.vectors[index], self.momentum), dim=1)
