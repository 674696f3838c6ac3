"""Views with sampled regions, for DetCon (Henaff et al. 2021, arXiv 2103.10957, Section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from torch import Tensor

from pretrain.errors import UsageError
from pretrain.method import Sample, Views
from pretrain.views.crop import Box
from pretrain.views.sample import RandomViews

WHOLE = 1 << 16
"""The id of the one region of an image that has none: the whole of it."""


@dataclass(frozen=True)
class RegionViews:
    """Views, and of each `count` regions drawn from those that it shows.

    Regions go through the crop and the mirror of their view. A cell of the features belongs to the region that most
    of its pixels belong to; a region is there where a cell belongs to it. Regions are drawn evenly with replacement,
    for each view on its own.

    Attributes:
        views: How the views are drawn.
        stride: Pixels of a view per cell of the features.
        count: Regions drawn per view.

    Raises:
        UsageError: A view's side is no multiple of the stride.
    """

    views: RandomViews
    stride: int = 32
    count: int = 16

    def __post_init__(self) -> None:
        """Refuse views that are no whole number of cells wide."""
        for view in self.views.views:
            if view.image_size % self.stride:
                raise UsageError(
                    f"Regions need views of whole cells of {self.stride} pixels; image_size is {view.image_size}.",
                    f"Set image_size to a multiple of {self.stride}.",
                )

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Views:
        """Draw the views of `sample`, whose masks are planes (P, H, W) or None."""
        found = self.views(sample, generator)
        masks, regions = [], []
        for view, box, flip in zip(found.images, found.boxes, found.flips, strict=True):
            drawn, ids = self._draw(sample.masks, view.shape[1], _whole_pixels(box), bool(flip), generator)
            masks.append(torch.from_numpy(drawn))
            regions.append(torch.from_numpy(ids))
        found.masks, found.regions = masks, regions
        return found

    def _draw(
        self, planes: np.ndarray | None, size: int, box: Box, flip: bool, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        cells = size // self.stride
        if planes is None:
            planes = np.full((1, box[3], box[2]), 0, dtype=np.uint16)
        owners = majority(crop_planes(planes, box, size, flip), cells)  # (P, h, w)
        present = np.unique(owners)
        present = present[present > 0]
        if len(present) == 0:
            return np.ones((self.count, cells, cells), dtype=bool), np.full(self.count, WHOLE)
        ids = generator.choice(present, self.count).astype(np.int64)
        return (owners[None] == ids[:, None, None, None]).any(axis=1), ids


def crop_planes(planes: np.ndarray, box: Box, size: int, flip: bool) -> np.ndarray:
    """Cut a box out of planes (P, H, W), resize it to (P, size, size) by the nearest pixel, and mirror it if asked."""
    x0, y0, x1, y1 = box
    centres = np.arange(size) + 0.5
    rows = y0 + (centres * (y1 - y0) / size).astype(np.int64)
    columns = x0 + (centres * (x1 - x0) / size).astype(np.int64)
    return planes[:, rows[:, None], (columns[::-1] if flip else columns)[None]]


@numba.njit(cache=True)
def majority(planes: np.ndarray, cells: int) -> np.ndarray:
    """Return the id that most pixels of every cell have, of several the lowest.

    # NOTE: as the released code's average pooling of one-hot masks and argmax.

    Args:
        planes: Ids, uint16, (P, S, S); S is a multiple of `cells`.
        cells: Cells in a row and in a column.

    Returns:
        (P, cells, cells), uint16.
    """
    side = planes.shape[1] // cells
    counts = np.zeros(int(planes.max()) + 1, dtype=np.int32)
    owners = np.empty((planes.shape[0], cells, cells), dtype=np.uint16)
    for plane in range(planes.shape[0]):
        for row in range(cells):
            for column in range(cells):
                counts[:] = 0
                for y in range(row * side, (row + 1) * side):
                    for x in range(column * side, (column + 1) * side):
                        counts[planes[plane, y, x]] += 1
                owners[plane, row, column] = np.argmax(counts)
    return owners


def _whole_pixels(box: Tensor) -> Box:
    x0, y0, x1, y1 = (int(value) for value in box.tolist())
    return x0, y0, x1, y1
