"""Momentum contrast: an encoder, its teacher and a queue of keys (MoCo, arXiv 1911.05722)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.modules.distributed import gather, in_groups, shuffled
from pretrain.modules.heads import Encoder
from pretrain.modules.queue import Queue
from pretrain.modules.teacher import follow, teacher_of


class MomentumContrast(nn.Module):
    """Encode queries, their keys by a slowly following teacher, and keep a queue of keys as negatives.

    Args:
        encoder: Backbone and head; its output's width is `dimension`.
        dimension: Width of the projection.
        queue_size: Negative keys, K.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: Groups of a process's batch that are normalised apart, so that ShuffleBN protects a
            single process as well; the papers' 256 images on 8 devices are 8 groups.
    """

    def __init__(
        self,
        encoder: Encoder,
        dimension: int,
        queue_size: int,
        ema_momentum: float,
        batch_norm_groups: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.teacher = teacher_of(encoder)
        self.queue = Queue(queue_size, dimension)
        self.ema_momentum = ema_momentum
        self.batch_norm_groups = batch_norm_groups

    def follow(self) -> None:
        """Let the teacher follow (Eq. 2)."""
        follow(self.teacher, self.encoder, self.ema_momentum)

    def forward(self, query_image: Tensor, key_image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return L2-normalised queries (B, D), their keys (B, D) and the negatives (K, D); the keys enter the queue.

        Args:
            query_image: (B, 3, H, W).
            key_image: The images' other views, likewise.
        """
        (query,) = in_groups(lambda images: (_unit(self.encoder(images)),), query_image, self.batch_norm_groups)
        with torch.no_grad():
            (key,) = shuffled(lambda images: (_unit(self.teacher(images)),), key_image, self.batch_norm_groups)
        negatives = self.queue.keys.clone()
        self.queue.push(gather(key))
        return query, key, negatives


def _unit(projection: Tensor) -> Tensor:
    return F.normalize(projection.float(), dim=1)
