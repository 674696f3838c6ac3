"""What mm* lack: a ViT that takes images of any size."""

from __future__ import annotations

from typing import Any

import mmengine.registry
import torch
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from benchmark.trunks.stretch import stretched


class Registers(nn.Module):
    """Register tokens, appended to the others."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(1, count, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T + count, D)."""
        return torch.cat([tokens, self.tokens.expand(len(tokens), -1, -1)], dim=1)


@mmengine.registry.MODELS.register_module()
class FittedViT(VisionTransformer):
    """mmpretrain's ViT for images of any size: those that patches do not cover exactly are stretched to fit.

    # NOTE: mmpretrain pads such images with zeros at the bottom and right, so that its maps cover more than the image.

    Args:
        registers: How many register tokens there are; attention does not see that they stand last.
        config: mmpretrain's arguments.
    """

    def __init__(self, registers: int = 0, **config: Any) -> None:
        super().__init__(**config)
        if registers:
            self.pre_norm = Registers(registers, self.embed_dims)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return maps (B, D, h, w) that cover the (B, 3, H, W) images exactly."""
        maps: tuple[Tensor, ...] = super().forward(stretched(images, self.patch_embed.projection.kernel_size[0]))
        return maps

    def _format_output(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Leave the registers out."""
        output: Tensor = super()._format_output(tokens[:, : 1 + grid[0] * grid[1]], grid)
        return output

    def _prepare_pos_embed(self, *args: Any, **kwargs: Any) -> None:
        """Let position embeddings of another grid be an error: mmpretrain would interpolate them unseen."""
