"""Pooling of packed tokens, image by image (NaViT, Dehghani et al. 2023, arXiv 2307.06304, Section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_of_each(tokens: Tensor, owner: Tensor, images: int) -> Tensor:
    """Return the mean of every image's tokens, (I, D).

    Args:
        tokens: (S, L, D).
        owner: The image of each, 0 to I - 1, (S, L); -1 for padding.
        images: I.
    """
    there = owner >= 0
    sums = torch.zeros(images, tokens.shape[2], dtype=tokens.dtype, device=tokens.device)
    sums = sums.index_add(0, owner[there], tokens[there])
    return sums / torch.bincount(owner[there], minlength=images)[:, None]


class AttentionPooling(nn.Module):
    """One learned query gathers from the tokens of every image.

    Args:
        width: D.
        heads: Attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(nn.init.trunc_normal_(torch.empty(heads, width // heads), std=0.02))
        self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.project = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, owner: Tensor, images: int) -> Tensor:
        """Return one vector an image, (I, D); the arguments are those of `mean_of_each`."""
        there = owner >= 0
        flat, of = tokens[there], owner[there]  # (T, D), (T,)
        heads, width = self.query.shape
        exact = torch.promote_types(flat.dtype, torch.float32)
        key, value = (layer(flat).to(exact).view(-1, heads, width) for layer in (self.key, self.value))
        score = (key * self.query).sum(dim=2) / width**0.5  # (T, heads)
        highest = torch.full((images, heads), -torch.inf, dtype=exact, device=score.device)
        highest = highest.index_reduce(0, of, score.detach(), "amax")
        weight = torch.exp(score - highest[of])
        total = torch.zeros(images, heads, dtype=exact, device=score.device).index_add(0, of, weight)
        gathered = torch.zeros(images, heads, width, dtype=exact, device=score.device)
        gathered = gathered.index_add(0, of, weight[:, :, None] * value) / total[:, :, None]
        pooled: Tensor = self.project(gathered.flatten(1))
        return pooled
