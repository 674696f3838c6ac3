"""Colour JPEGs, decoded to the same bits as by Pillow, in two thirds of its time.

There is no decoding at a reduced scale for small crops: undoing the entropy code is most of the cost. Of VOC2012's
images (500 x 375) one takes 1.2 ms whole, and by Pillow's `draft` 1.0 ms at half the side and 0.9 ms at an eighth.
"""

from __future__ import annotations

import numpy as np
import torch
from torchvision.io import decode_jpeg

START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
MOST_PIXELS = 1 << 27


def decode(data: bytes) -> np.ndarray | None:
    """Return the image, RGB, uint8, (H, W, 3); None for what is no whole colour JPEG of a sensible size."""
    height, width, channels = _frame(data)
    if channels != 3 or not 0 < height * width <= MOST_PIXELS:
        return None
    try:
        image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))  # (3, H, W)
    except RuntimeError:
        return None
    return np.asarray(image.permute(1, 2, 0).numpy())


def _frame(data: bytes) -> tuple[int, int, int]:
    """Return height, width and channels as the frame's header has them; zeros where there is none."""
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while place + 9 < len(data) and data[place] == 0xFF:
        if data[place + 1] in START_OF_FRAME:
            size = data[place + 5 : place + 9]
            return int.from_bytes(size[:2], "big"), int.from_bytes(size[2:], "big"), data[place + 9]
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return 0, 0, 0
