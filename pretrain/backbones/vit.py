"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929; the small ones are DeiT's, arXiv 2012.12877)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pretrain.backbone import Backbone, Layout
from pretrain.errors import DensebenchError

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}  # D, depth, heads
PATCHES = (16, 14, 8)
IMAGE = 224  # the position embeddings' own image size in pixels
ARCHS = tuple(f"vit_{size}_patch{patch}" for size in SIZES for patch in PATCHES)


class ViT(Backbone):
    """A vision transformer with a class token and no classifier; parameters have timm's names.

    Images may have any size whose sides are multiples of the patch's: the position embeddings are interpolated.

    Args:
        arch: One of `ARCHS`.

    Attributes:
        patch: The patch's side in pixels.
        grid: Rows and columns of patches that the position embeddings belong to.
    """

    cls_token: Tensor  # (1, 1, D)
    pos_embed: Tensor  # (1, 1 + N, D), the class token's first

    def __init__(self, arch: str) -> None:
        super().__init__()
        _, size, patch = arch.split("_")
        width, depth, heads = SIZES[size]
        self.patch = int(patch.removeprefix("patch"))
        network: Any = VisionTransformer(IMAGE, self.patch, 3, 0, embed_dim=width, depth=depth, num_heads=heads)
        self.grid: tuple[int, int] = network.patch_embed.grid_size
        self.layout = Layout(arch, "vit", (width,) * 4, (self.patch,) * 4)
        self.cls_token, self.pos_embed = network.cls_token, network.pos_embed
        self.patch_embed: nn.Module = network.patch_embed
        self.blocks: nn.Sequential = network.blocks
        self.norm: nn.Module = network.norm

    def patches(self, images: Tensor) -> Tensor:
        """Embed the patches of (B, 3, H, W) images, row by row and without their positions: (B, N, D).

        Raises:
            DensebenchError: A side of the images is no multiple of the patch's.
        """
        _grid_of(images, self.patch)
        maps: Tensor = self.patch_embed.proj(images)  # type: ignore[operator]
        return maps.flatten(2).transpose(1, 2)

    def positions(self, height: int, width: int) -> Tensor:
        """Return the position embeddings of a grid of patches: (1, 1 + N, D), the class token's first."""
        return resize_positions(self.pos_embed, self.grid, (height, width))

    def embed(self, images: Tensor) -> Tensor:
        """Return what the blocks see: class token and patches, with their positions: (B, 1 + N, D)."""
        patches = self.patches(images)
        first = self.cls_token.expand(len(images), -1, -1)
        return torch.cat([first, patches], dim=1) + self.positions(*_grid_of(images, self.patch))

    def encode(self, tokens: Tensor) -> Tensor:
        """Run the blocks and the final norm on any set of embedded tokens: (B, T, D) to (B, T, D)."""
        encoded: Tensor = self.norm(self.blocks(tokens))
        return encoded

    def tokens(self, images: Tensor) -> Tensor:
        """Return the final-normed tokens of (B, 3, H, W) images: (B, 1 + N, D), the class token first."""
        return self.encode(self.embed(images))

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the patch tokens after each quarter of the blocks as (B, D, H / p, W / p); the last final-normed."""
        return quarters(self.embed(images), self.blocks, self.norm, _grid_of(images, self.patch))

    def drop_path(self, rate: float) -> None:
        """Skip residual branches at random in training, the last block's with this rate, the first's never.

        Stochastic depth (Huang et al. 2016, arXiv 1603.09382), with rates that grow linearly.
        """
        for number, block in enumerate(self.blocks):
            chance = rate * number / (len(self.blocks) - 1)
            block.drop_path1, block.drop_path2 = DropPath(chance), DropPath(chance)


def resize_positions(positions: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Interpolate position embeddings (1, P + N, D) of a grid to another; the P before the patches' are kept.

    Bicubic between cells' centres, without antialiasing, as DINO, MAE and mmpretrain do.
    # NOTE: timm smooths (antialiases) when it makes the grid smaller.
    """
    if grid == wanted:
        return positions
    prefix = positions.shape[1] - grid[0] * grid[1]
    maps = positions[:, prefix:].reshape(1, *grid, -1).permute(0, 3, 1, 2).float()
    maps = F.interpolate(maps, size=wanted, mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :prefix], maps.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


def quarters(tokens: Tensor, blocks: Any, norm: Any, grid: tuple[int, int], first: int = 1) -> list[Tensor]:
    """Run a transformer's blocks and return the patches' tokens after each quarter of them, the last normed, as maps.

    Args:
        tokens: What the first block sees, (B, T, D).
        blocks: The blocks, a multiple of four.
        norm: The final norm.
        grid: Rows and columns of patches, of the maps (B, D, rows, columns).
        first: Where the patches' tokens begin among the T; row by row.
    """
    maps = []
    for number, block in enumerate(blocks, start=1):
        tokens = block(tokens)
        if number % (len(blocks) // 4) == 0:
            normed = norm(tokens) if number == len(blocks) else tokens
            maps.append(normed[:, first : first + grid[0] * grid[1]].transpose(1, 2).unflatten(2, grid))
    return maps


def _grid_of(images: Tensor, patch: int) -> tuple[int, int]:
    height, width = images.shape[-2:]
    if height % patch or width % patch:
        raise DensebenchError(
            f"Images of {height} x {width} pixels do not divide into patches of {patch} x {patch}.",
            f"Choose an image size that is a multiple of {patch}.",
        )
    return height // patch, width // patch
