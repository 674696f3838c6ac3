"""Images that patches do not cover exactly are stretched, not padded: what lies at the border stays there."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def stretched(images: Tensor, patch: int) -> Tensor:
    """Return (B, 3, H, W) images whose sides are the next multiples of the patch's."""
    size = [math.ceil(side / patch) * patch for side in images.shape[-2:]]
    if size == list(images.shape[-2:]):
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)
