"""CPC's autoregressive context: a masked convolutional network over a grid of features (arXiv 1807.03748)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class RowContext(nn.Module):
    """Summarise at every place of a grid what lies in its row and above, by residual masked convolutions.

    # NOTE: the paper says "PixelCNN-style" and no more; this is the network of the second version's pseudocode
    (Henaff et al. 2020, arXiv 1905.09272): 1 x 1, 1 x 3, 2 x 1 that looks upwards, 1 x 1.

    Args:
        channels: Width of the features.
        hidden: Width inside a block.
        blocks: Residual blocks; each sees one row more.
    """

    def __init__(self, channels: int, hidden: int = 256, blocks: int = 5) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, hidden, kernel_size=1),
                nn.ReLU(),
                nn.Conv2d(hidden, hidden, kernel_size=(1, 3), padding=(0, 1)),
                nn.ZeroPad2d((0, 0, 1, 0)),
                nn.Conv2d(hidden, hidden, kernel_size=(2, 1)),
                nn.ReLU(),
                nn.Conv2d(hidden, channels, kernel_size=1),
            )
            for _ in range(blocks)
        )

    def forward(self, grid: Tensor) -> Tensor:
        """Return the contexts (B, C, h, w) of features (B, C, h, w)."""
        for block in self.blocks:
            grid = grid + block(grid)
        return F.relu(grid)
