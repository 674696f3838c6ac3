"""Overlapping masks as planes of ids, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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


def ids_of(planes: np.ndarray) -> np.ndarray:
    """Return the ids that occur, rising, without 0."""
    found = np.unique(planes)
    return found[found > 0]
