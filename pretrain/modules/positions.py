"""Fixed position embeddings, and the decoder that finds positions again."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from pretrain.backbones.vit import ViT


def sine_cosine(height: int, width: int, dimension: int) -> Tensor:
    """Return position embeddings of sines and cosines: half for the column, half for the row (MAE, arXiv 2111.06377).

    Returns:
        (height width, dimension).
    """
    frequencies = 10000.0 ** -(torch.arange(dimension // 4, dtype=torch.float64) / (dimension // 4))
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (column, row)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1).float()


def fix_positions(backbone: ViT) -> None:
    """Replace a ViT's position embeddings by fixed sines and cosines; the class token's is 0.

    # NOTE: of the backbone's own grid, from which other sizes are interpolated; MAE and DropPos know one size only.
    """
    found = sine_cosine(*backbone.grid, backbone.layout.channels[-1])
    del backbone.pos_embed
    backbone.register_buffer("pos_embed", torch.cat([torch.zeros(1, found.shape[1]), found])[None])


def xavier(network: nn.Module) -> None:
    """Draw the linear layers and the patch embedding anew, uniformly (Glorot and Bengio 2010), as MAE does."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
            if module.bias is not None and isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


class PositionDecoder(nn.Module):
    """A small transformer without position embeddings, and a classifier of positions.

    Args:
        channels: Width of the encoder's tokens.
        width: The decoder's own.
        depth: Blocks.
        heads: Attention heads.
        positions: N, how many positions there are.
    """

    def __init__(self, channels: int, width: int, depth: int, heads: int, positions: int) -> None:
        super().__init__()
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.embed = nn.Linear(channels, width)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)))
        self.norm = norm(width)
        self.classify = nn.Linear(width, positions)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, V, N) of the V tokens after the class token: tokens are (B, 1 + V, C)."""
        logits: Tensor = self.classify(self.norm(self.blocks(self.embed(tokens)))[:, 1:])
        return logits
