"""Regions of a regular grid: DetCon's spatial heuristic (arXiv 2103.10957, Section 3.1)."""

from __future__ import annotations

import numpy as np


def grid(image: np.ndarray, cells: int) -> np.ndarray:
    """Return the regions (1, H, W) of a grid of `cells` x `cells` cells over an image, numbered row by row from 1.

    Args:
        image: (H, W, 3).
        cells: From 1 to 255: regions are numbered in 16 bits.
    """
    height, width = image.shape[:2]
    rows = np.arange(height) * cells // height
    columns = np.arange(width) * cells // width
    numbers: np.ndarray = 1 + rows[:, None] * cells + columns[None]
    return numbers.astype(np.uint16)[None]
