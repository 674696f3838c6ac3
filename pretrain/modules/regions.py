"""Encoding regions: mean features under masks and in windows, and perceptrons on them (DetCon, arXiv 2103.10957)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from pretrain.modules.heads import Headed


def mask_pooling(features: Tensor, masks: Tensor) -> Tensor:
    """Average the features under each mask: h_m = sum_ij m_ij h_ij / sum_ij m_ij.

    Args:
        features: (B, C, h, w).
        masks: bool, (B, M, h, w); none is empty.

    Returns:
        (B, M, C).
    """
    weights = masks.flatten(2).to(features.dtype)  # (B, M, h w)
    sums = torch.bmm(weights, features.flatten(2).transpose(1, 2))
    return sums / weights.sum(dim=2, keepdim=True)


def window_pooling(features: Tensor, windows: Tensor) -> Tensor:
    """Average the features in windows by RoIAlign (Mask R-CNN, arXiv 1703.06870, Section 3), one cell a window.

    # NOTE: the released ReSim integrates exactly (PrRoIPool), and takes a feature to lie at its cell's corner, where
    this one lies at its centre.

    Args:
        features: (B, C, h, w).
        windows: x0, y0, x1, y1 from 0 to 1, (B, K, 4).

    Returns:
        (B, K, C), float32.
    """
    images, count, _ = windows.shape
    height, width = features.shape[2:]
    cells = windows.float() * windows.new_tensor([width, height, width, height], dtype=torch.float32)
    number = torch.arange(images, device=windows.device, dtype=torch.float32).repeat_interleave(count)
    boxes = torch.cat([number[:, None], cells.flatten(0, 1)], dim=1)  # (B K, 5)
    pooled: Tensor = roi_align(features.float(), boxes, output_size=1, aligned=True)
    return pooled.view(images, count, -1)


def each(head: nn.Module, regions: Tensor) -> Tensor:
    """Apply a perceptron to every region: (B, M, C) to (B, M, D)."""
    images, count, _ = regions.shape
    projections: Tensor = head(regions.flatten(0, 1))
    return projections.view(images, count, -1)


class RegionEncoder(Headed):
    """A backbone, mask pooling, and the head on the pooled features (N, C)."""

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the projections (B, M, D) of regions (B, M, h, w) in images (B, 3, H, W), not normalised."""
        return each(self.head, mask_pooling(self.backbone(images), masks))
