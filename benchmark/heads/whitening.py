"""Whitening: frozen features, decorrelated and scaled to unit variance before a linear probe."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn


class Whitening(nn.Module):
    """Decorrelate features by statistics that are fitted once, before training (ZCA).

    A linear layer can express after it what it could before: the best probe stays the same, and the number of steps
    to it no longer depends on the checkpoint. The features of a contrastive trunk lie mostly in few directions, those
    of a random one spread evenly; without whitening a short probe measures that.

    Args:
        channels: Width C of the features.
        images: Training images, at most, that the statistics come from.
        floor: Directions of less variance than this share of the largest are scaled as if they had it.
    """

    def __init__(self, channels: int, images: int, floor: float = 1e-3) -> None:
        super().__init__()
        self.images = images
        self.floor = floor
        self.mean: Tensor
        self.matrix: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("matrix", torch.eye(channels))

    @torch.no_grad()
    def fit(self, maps: Iterable[Tensor]) -> None:
        """Set mean and matrix from feature maps (B, C, h, w), over all processes."""
        channels = len(self.mean)
        total = self.mean.new_zeros(channels, dtype=torch.float64)
        products = self.mean.new_zeros(channels, channels, dtype=torch.float64)
        count = self.mean.new_zeros(1, dtype=torch.float64)
        for one in maps:
            rows = one.double().transpose(0, 1).flatten(1)  # (C, B h w)
            total += rows.sum(1)
            products += rows @ rows.T
            count += rows.shape[1]
        for statistic in (total, products, count):
            all_reduce(statistic)
        mean = total / count
        variances, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        lowest = (self.floor * variances[-1]).clamp(min=1e-12)
        self.mean.copy_(mean)
        self.matrix.copy_(directions / variances.clamp(min=lowest).sqrt() @ directions.T)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, C, h, w) to whitened ones in float32: weak directions would drown in bfloat16's errors."""
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.float() - self.mean[:, None, None], self.matrix[:, :, None, None])
