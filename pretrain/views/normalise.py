"""From uint8 images to the tensors a network reads."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)  # ImageNet's RGB mean, in 0..255
STD = (58.395, 57.12, 57.375)

_TABLE = ((np.arange(256) - np.array(MEAN)[:, None]) / np.array(STD)[:, None]).astype(np.float32)  # (3, 256)


def normalise(image: np.ndarray) -> Tensor:
    """Subtract ImageNet's mean and divide by its standard deviation.

    Args:
        image: uint8 RGB, (H, W, 3).

    Returns:
        (3, H, W) float32; its memory keeps the image's order (channels last).
    """
    return torch.from_numpy(_look_up(image, _TABLE)).permute(2, 0, 1)


@numba.njit(cache=True)
def _look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    found = np.empty(image.shape, dtype=np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for channel in range(3):
                found[y, x, channel] = table[channel, image[y, x, channel]]
    return found
