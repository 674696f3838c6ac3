"""Dense correspondences as a picture: matched locations of two views, joined by lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pretrain.files import replacing

if TYPE_CHECKING:
    from benchmark.correspond import Matches

CORRECT, WRONG = "#35d04f", "#ff4d3d"
GAP = 12  # pixels between the two views


def draw(matches: Mapping[str, Sequence[Matches]], path: Path, most: int = 3) -> None:
    """Write a PNG: one column a network, one row an image; the titles count over all images.

    Args:
        matches: Matches of the same images, for each network.
        path: The PNG.
        most: How many images are drawn.
    """
    rows = min(most, *(len(found) for found in matches.values()))
    figure = Figure(figsize=(5.2 * len(matches), 2.6 * rows + 1.1), dpi=110, layout="constrained")
    grid = figure.subplots(rows, len(matches), squeeze=False)
    for column, (name, found) in zip(grid.T, matches.items(), strict=True):
        correct = np.concatenate([match.correct for match in found])
        column[0].set_title(
            f"{name}: {correct.sum()} of {len(correct)} mutual best matches correct ({correct.mean():.0%})",
            fontsize=9,
        )
        for axes, match in zip(column, found[:rows], strict=True):
            _pair(axes, match)
    figure.supxlabel(
        f"Cosine similarity of the last feature map, {len(next(iter(matches.values())))} held-out images. "
        "Green: within one cell of the true place.",
        fontsize=8,
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _pair(axes: Axes, match: Matches) -> None:
    """Draw two views side by side and a line for each match."""
    height, width = match.first.shape[:2]
    gap = np.full((height, GAP, 3), 255, dtype=np.uint8)
    axes.imshow(np.concatenate([match.first, gap, match.second], axis=1))
    axes.set_axis_off()
    scale = np.array([width, height, width, height])
    for (x0, y0, x1, y1), correct in zip(match.points * scale, match.correct, strict=True):
        colour = CORRECT if correct else WRONG
        axes.plot([x0, x1 + width + GAP], [y0, y1], color=colour, linewidth=1.0, marker="o", markersize=2.5)
