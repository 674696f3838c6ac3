"""NaViT: a vision transformer on packed sequences of patches (Dehghani et al. 2023, arXiv 2307.06304).

Images of any size and aspect ratio share a sequence, and attend within themselves. What distinguishes the network from
a ViT, as in the paper's Section 2.1: position embeddings of a row and of a column, added; queries and keys are
normalised; no biases; no class token.

One image at a time works too: `stages` takes a batch of images of any one size whose sides are multiples of the patch,
as every backbone does, and returns maps; row r and column c of an image have the embeddings `pos_row[r]` and
`pos_column[c]`, whatever the image's size is, so that nothing is interpolated downstream.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbone import Backbone, Layout
from pretrain.backbones.vit import SIZES
from pretrain.errors import DensebenchError

ARCHS = tuple(f"navit_{size}_patch16" for size in SIZES)
POSITIONS = 128  # rows and columns there are embeddings for: sides of 2048 pixels


class NaViT(Backbone):
    """A transformer over packed patches.

    Args:
        arch: One of `ARCHS`.

    Attributes:
        patch: The patch's side in pixels.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        _, size, patch = arch.split("_")
        width, depth, heads = SIZES[size]
        self.patch = int(patch.removeprefix("patch"))
        self.layout = Layout(arch, "navit", (width,) * 4, (self.patch,) * 4)
        self.patch_embed = nn.Conv2d(3, width, self.patch, stride=self.patch, bias=False)
        self.pos_row = nn.Parameter(torch.empty(POSITIONS, width))
        self.pos_column = nn.Parameter(torch.empty(POSITIONS, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.trunc_normal_(parameter, std=0.02)

    def encode(self, sequences: Tensor, owner: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return the final-normed tokens of packed sequences, (S, L, D); the arguments are those of `quarters`."""
        return self.quarters(sequences, owner, row, column)[-1]

    def quarters(self, sequences: Tensor, owner: Tensor | None, row: Tensor, column: Tensor) -> list[Tensor]:
        """Return the tokens of packed sequences after each quarter of the blocks, (S, L, D); the last final-normed.

        Args:
            sequences: L patches side by side as an image, (S, 3, p, L p).
            owner: The image each patch belongs to, (S, L); padding has a number of its own. None where a sequence is
                one image.
            row: The patch's row in its image, (S, L).
            column: Its column, (S, L).
        """
        tokens = self.patch_embed(sequences).flatten(2).transpose(1, 2) + self.pos_row[row] + self.pos_column[column]
        own = None if owner is None else (owner[:, :, None] == owner[:, None])[:, None]  # (S, 1, L, L)
        return self._run(tokens, own)

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return how many rows and columns of patches (B, 3, H, W) images have.

        Raises:
            DensebenchError: A side is no multiple of the patch's, or too long.
        """
        height, width = images.shape[-2:]
        longest = POSITIONS * self.patch
        if height % self.patch or width % self.patch or max(height, width) > longest:
            raise DensebenchError(
                f"Images of {height} x {width} pixels cannot be read in patches of {self.patch} x {self.patch}.",
                f"Choose sides that are multiples of {self.patch} and at most {longest}.",
            )
        return height // self.patch, width // self.patch

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the tokens after each quarter of the blocks as (B, D, H / p, W / p); the last final-normed.

        Raises:
            DensebenchError: As `grid` does.
        """
        height, width = self.grid(images)
        rows, columns = self.pos_row[:height], self.pos_column[:width]
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2) + (rows[:, None] + columns[None]).flatten(0, 1)
        return [after.transpose(1, 2).reshape(len(images), -1, height, width) for after in self._run(tokens, None)]

    def _run(self, tokens: Tensor, own: Tensor | None) -> list[Tensor]:
        found, quarter = [], len(self.blocks) // 4
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens, own)
            if number % quarter == 0:
                found.append(tokens)
        return [*found[:3], self.norm(tokens)]


class _Block(nn.Module):
    """Pre-norm attention with normalised queries and keys, and a perceptron; no biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6, bias=False) for _ in range(2))
        self.q_norm, self.k_norm = (nn.LayerNorm(width // heads, eps=1e-6, bias=False) for _ in range(2))
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, tokens: Tensor, own: Tensor | None) -> Tensor:
        parts = self.qkv(self.norm1(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = self.q_norm(parts[0]).to(parts.dtype), self.k_norm(parts[1]).to(parts.dtype), parts[2]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=own)  # (S, heads, L, D / heads)
        tokens = tokens + self.proj(attended.transpose(1, 2).flatten(2))
        passed: Tensor = tokens + self.fc2(F.gelu(self.fc1(self.norm2(tokens))))
        return passed
