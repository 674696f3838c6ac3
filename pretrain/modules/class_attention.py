"""Class attention: a learned token gathers from a set of tokens (CaiT, Touvron et al. 2021, arXiv 2103.17239)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.modules.heads import perceptron


class Aggregation(nn.Module):
    """Sum up sets of tokens by class-attention blocks (SelfPatch, arXiv 2206.07990, Section 3).

    # NOTE: CaiT's LayerScale is left out, as in SelfPatch's released code.

    Args:
        width: D, the tokens' width.
        heads: Attention heads.
        depth: Blocks.
    """

    def __init__(self, width: int, heads: int, depth: int = 2) -> None:
        super().__init__()
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.blocks = nn.ModuleList(_ClassAttentionBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return one vector a set, (M, D), of sets (M, n, D); `valid`, (M, n), says which tokens count."""
        token = self.token.expand(len(tokens), -1, -1)
        for block in self.blocks:
            token = block(token, tokens, valid)
        summed: Tensor = self.norm(token[:, 0])
        return summed


class _ClassAttentionBlock(nn.Module):
    """The token attends to itself and the set, then passes a perceptron."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.project = nn.Linear(width, width)
        self.mlp = perceptron(width, 4 * width, width, activation=nn.GELU)

    def forward(self, token: Tensor, tokens: Tensor, valid: Tensor | None) -> Tensor:
        everything = self.norm1(torch.cat([token, tokens], dim=1))  # (M, 1 + n, D)
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(everything[:, :1]), self.key(everything), self.value(everything))
        )
        mask = None if valid is None else F.pad(valid, (1, 0), value=True)[:, None, None]  # (M, 1, 1, 1 + n)
        gathered = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        token = token + self.project(gathered.transpose(1, 2).flatten(2))
        found: Tensor = token + self.mlp(self.norm2(token))
        return found
