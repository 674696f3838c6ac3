"""From uint8 images to the tensors a network reads."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)  # ImageNet's RGB mean, in 0..255
STD = (58.395, 57.12, 57.375)

# (1, 256, 3): the normalised value of every level, so that an image is normalised by one look-up.
_TABLE = ((np.arange(256)[:, None] - np.array(MEAN)) / np.array(STD)).astype(np.float32)[None]


def normalise(image: np.ndarray) -> Tensor:
    """Subtract ImageNet's mean and divide by its standard deviation.

    Args:
        image: uint8 RGB, (H, W, 3).

    Returns:
        (3, H, W) float32; its memory keeps the image's order (channels last).
    """
    return torch.from_numpy(cv2.LUT(image, _TABLE)).permute(2, 0, 1)
