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
    return box[:, None, :2] + _mirror(points, flip) * (box[:, None, 2:] - box[:, None, :2])


def to_view(points: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    """Carry points of the original image, in pixels, (B, N, 2), into a view, where x and y run from 0 to 1."""
    return _mirror((points - box[:, None, :2]) / (box[:, None, 2:] - box[:, None, :2]), flip)


def sliding_windows(side: int, stride: int, size: int = 224) -> Tensor:
    """Return the windows of a square view, x0, y0, x1, y1 from 0 to 1, (K, 4), row by row.

    Args:
        side: Side of a window in pixels of a view of `size`.
        stride: Pixels between two of them.
        size: The view's side; windows end before its last pixel.
    """
    starts = torch.arange(0, size - side, stride) / size
    y, x = torch.meshgrid(starts, starts, indexing="ij")
    corners = torch.stack([x, y], dim=2).view(-1, 2)
    return torch.cat([corners, corners + side / size], dim=1)


def carry_windows(windows: Tensor, box: Tensor, flip: Tensor, other_box: Tensor, other_flip: Tensor) -> Tensor:
    """Carry windows of one view into another view of the same image; what lies outside it is below 0 or above 1.

    Args:
        windows: x0, y0, x1, y1 from 0 to 1, (K, 4).
        box: The view's crops, (B, 4).
        flip: Whether they were mirrored, (B,).
        other_box: The other view's crops.
        other_flip: Whether they were mirrored.

    Returns:
        (B, K, 4).
    """
    corners = windows.view(1, -1, 2).expand(len(box), -1, -1)
    there = to_view(to_image(corners, box, flip), other_box, other_flip).view(len(box), -1, 2, 2)
    return torch.cat([there.amin(dim=2), there.amax(dim=2)], dim=2)


def _mirror(points: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip[:, None, None], torch.stack([1 - points[..., 0], points[..., 1]], dim=2), points)
