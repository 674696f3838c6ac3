"""A patch's most similar neighbours (SelfPatch, Yun et al. 2022, arXiv 2206.07990, Section 3)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=16)
def neighbours(height: int, width: int, side: int, wrap_around: bool) -> tuple[Tensor, Tensor]:
    """Return each patch's neighbours in a square around it, and which of them lie inside the grid.

    Args:
        height: Rows of patches.
        width: Columns of patches.
        side: The square's side, odd; 3 for the 8 adjacent patches.
        wrap_around: Go on at the opposite border, as the released code does; else there are none beyond a border.

    Returns:
        Numbers of patches and bools, (height width, side^2 - 1) each.
    """
    reach = side // 2
    steps = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1) if (y, x) != (0, 0)]
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows = row.flatten()[:, None] + torch.tensor([y for y, _ in steps])
    columns = column.flatten()[:, None] + torch.tensor([x for _, x in steps])
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows % height * width + columns % width
    return index, torch.ones_like(inside) if wrap_around else inside


@torch.no_grad()
def most_similar(tokens: Tensor, index: Tensor, valid: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose each patch's `count` most similar neighbours, by cosine.

    Args:
        tokens: (B, N, D).
        index: The neighbours' numbers, (N, n).
        valid: Which of them there are, (N, n).
        count: k; a patch with fewer neighbours gets those it has.

    Returns:
        The chosen patches' tokens, (B, N, k, D), and which of them count, (B, N, k).
    """
    with torch.autocast(tokens.device.type, enabled=False):
        unit = F.normalize(tokens.float(), dim=2)
        similarity = torch.bmm(unit, unit.transpose(1, 2))  # (B, N, N)
    near = similarity.gather(2, index.expand(len(tokens), -1, -1)).masked_fill(~valid, -torch.inf)  # (B, N, n)
    best, place = near.topk(min(count, index.shape[1]), dim=2)
    chosen = index.expand(len(tokens), -1, -1).gather(2, place)  # (B, N, k)
    picked = tokens.gather(1, chosen.flatten(1)[:, :, None].expand(-1, -1, tokens.shape[2]))
    return picked.view(*chosen.shape, -1), best.isfinite()
