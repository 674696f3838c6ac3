"""Overlapping masks as planes of ids, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pretrain.errors import one_line


def from_masks(masks: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return masks as planes: mask i becomes the id i + 1, in the first plane where it overlaps nothing.

    Args:
        masks: bool, (H, W) each; empty ones are left out.

    Returns:
        uint16, (P, H, W); None without masks.
    """
    planes: list[np.ndarray] = []
    for number, mask in enumerate(masks, start=1):
        if not mask.any():
            continue
        for plane in planes:
            if not plane[mask].any():
                plane[mask] = number
                break
        else:
            planes.append(np.where(mask, number, 0).astype(np.uint16))
    return np.stack(planes) if planes else None


def decode(segment: Any, height: int, width: int) -> np.ndarray:
    """Return a mask of COCO's, polygons or run lengths, as bool (H, W).

    Raises:
        ValueError: It is damaged, or of another size than the image.
    """
    from pycocotools import mask

    try:
        if isinstance(segment, list):
            segment = mask.merge(mask.frPyObjects(segment, height, width))
        elif isinstance(segment["counts"], list):
            segment = mask.frPyObjects(segment, *segment["size"])
        decoded: np.ndarray = mask.decode(segment).astype(bool)
    except Exception as error:  # the C code behind it raises plain exceptions of many kinds
        raise ValueError(f"a damaged mask ({one_line(error)})") from error
    if decoded.shape != (height, width):
        raise ValueError(f"a mask of {decoded.shape[0]}x{decoded.shape[1]}, the image has {height}x{width}")
    return decoded
