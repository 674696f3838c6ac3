"""The queue of negative keys (MoCo, He et al. 2020, arXiv 1911.05722)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.errors import UsageError


class Queue(nn.Module):
    """The last K keys, oldest replaced first; a buffer, so it is saved with the training state.

    It begins with random unit vectors. K need not be a multiple of the batch.

    Args:
        size: K.
        dimension: D, the keys' width.
    """

    keys: Tensor  # (K, D), L2-normalised
    pointer: Tensor  # where the next key goes

    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dimension), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by `keys`, (N, D).

        Raises:
            UsageError: More keys than the queue holds.
        """
        size = len(self.keys)
        if len(keys) > size:
            found = f"The queue holds {size} keys, and a batch brings {len(keys)}."
            raise UsageError(found, "Set queue_size higher.")
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.keys[places] = keys.to(self.keys.dtype)
        self.pointer.copy_((self.pointer + len(keys)) % size)
