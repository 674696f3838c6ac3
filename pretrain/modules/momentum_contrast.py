"""Momentum contrast: an encoder, its teacher and a queue of keys (MoCo, arXiv 1911.05722)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.modules.distributed import gather, in_groups, shuffled
from pretrain.modules.heads import Headed
from pretrain.modules.queue import Queue
from pretrain.modules.teacher import follow, teacher_of


class UnitEncoder(Headed):
    """A backbone and its head, whose projections have length 1."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the L2-normalised projections (B, D) of images (B, 3, H, W)."""
        return (F.normalize(self.head(self.backbone(images)).float(), dim=1),)


class MomentumContrast(nn.Module):
    """Encode queries, their keys by a slowly following teacher, and keep a queue of keys as negatives.

    Args:
        encoder: A `backbone` and heads. Maps images (B, 3, H, W) to L2-normalised projections (B, D), and to what else
            its method contrasts.
        dimension: D, the width of the projection.
        queue_size: Negative keys, K.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: Groups of a process's batch that are normalised apart, so that ShuffleBN protects a
            single process as well; the papers' 256 images on 8 devices are 8 groups.
    """

    def __init__(
        self,
        encoder: nn.Module,
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

    def forward(self, query_image: Tensor, key_image: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """Return what the encoder makes of the queries, the teacher of the keys, and the negatives (K, D).

        The keys' projections then enter the queue.

        Args:
            query_image: (B, 3, H, W).
            key_image: The images' other views, likewise.
        """
        queries = in_groups(self.encoder, query_image, self.batch_norm_groups)
        with torch.no_grad():
            keys = shuffled(self.teacher, key_image, self.batch_norm_groups)
        negatives = self.queue.keys.clone()
        self.queue.push(gather(keys[0]))
        return queries, keys, negatives

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.encoder.get_submodule("backbone")
