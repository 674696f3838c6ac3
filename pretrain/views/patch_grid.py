"""A view cut into overlapping patches, for CPC (van den Oord et al. 2018, arXiv 1807.03748, Section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pretrain.method import Sample, Views
from pretrain.views.sample import RandomViews


@dataclass(frozen=True)
class PatchViews:
    """One view, as a mosaic of its patches: a grid of squares that overlap by half, laid side by side.

    A patch is as wide as 2 / (grid + 1) of the view; 64 pixels of 256 in a grid of 7. Of each, a random part is kept in
    the middle, and the margin around it is 0.

    Attributes:
        views: How the view is drawn.
        grid: Patches in a row and in a column.
        kept: The share of a patch's side that is kept.
    """

    views: RandomViews
    grid: int = 7
    kept: float = 60 / 64

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the view of `sample`; its image is (3, grid P, grid P) for patches of P pixels."""
        found = self.views(sample, generator)
        mosaics = [torch.from_numpy(self._cut(image.numpy(), generator)) for image in found.images]
        return replace(found, images=mosaics)

    def _cut(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        stride = image.shape[1] // (self.grid + 1)
        side = 2 * stride
        kept = round(side * self.kept)
        margin = (side - kept) // 2
        mosaic = np.zeros((self.grid * side, self.grid * side, 3), dtype=np.float32)
        shifts = generator.integers(0, side - kept + 1, (self.grid, self.grid, 2))
        for row in range(self.grid):
            for column in range(self.grid):
                y, x = stride * np.array([row, column]) + shifts[row, column]
                top, left = side * row + margin, side * column + margin
                part = image[:, y : y + kept, x : x + kept].transpose(1, 2, 0)
                mosaic[top : top + kept, left : left + kept] = part
        return mosaic.transpose(2, 0, 1)


def patches_of(mosaic: Tensor, grid: int) -> Tensor:
    """Take mosaics (B, 3, grid P, grid P) apart: (B grid grid, 3, P, P), row by row."""
    images, channels, height, _ = mosaic.shape
    side = height // grid
    tiles = mosaic.view(images, channels, grid, side, grid, side).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(-1, channels, side, side).contiguous(memory_format=torch.channels_last)
