"""Where the parts of a view lie in the original image, and in another view."""

from __future__ import annotations

import torch
from torch import Tensor


def cell_centres(box: Tensor, flip: Tensor, rows: int, columns: int) -> Tensor:
    """Return where the centres of a view's cells lie in the original image.

    Args:
        box: The crops' x0, y0, x1, y1 in pixels of the original image, (B, 4).
        flip: Whether the crop was then mirrored horizontally, (B,).
        rows: Rows of cells in the view.
        columns: Columns of cells.

    Returns:
        x and y in pixels of the original image, (B, rows columns, 2), row by row.
    """
    y, x = torch.meshgrid(
        (torch.arange(rows, device=box.device) + 0.5) / rows,
        (torch.arange(columns, device=box.device) + 0.5) / columns,
        indexing="ij",
    )
    return to_image(torch.stack([x, y], dim=2).view(1, -1, 2).expand(len(box), -1, -1), box, flip)


def to_image(points: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Carry points of a view, x and y from 0 to 1, (B, N, 2), to pixels of the original image."""
    mirrored = torch.stack([1 - points[..., 0], points[..., 1]], dim=2)
    points = torch.where(flip[:, None, None], mirrored, points)
    return box[:, None, :2] + points * (box[:, None, 2:] - box[:, None, :2])
