"""DropPos's classification of positions (Wang et al. 2023, arXiv 2309.03576)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


def smoothed(height: int, width: int, sigma: float) -> Tensor:
    """Return the target distribution of each position: w_ij = exp(-d(i, j)^2 / sigma^2), divided by its sum over j.

    Args:
        height: Rows of patches.
        width: Columns of patches.
        sigma: In patches; 0 for no smoothing.

    Returns:
        (N, N), N = height width; row i belongs to position i.
    """
    weights = _closeness(height, width, sigma)
    return weights / weights.sum(dim=1, keepdim=True)


def smoothed_as_released(count: int, side: int, sigma: float) -> Tensor:
    """Return the targets that the released code trains with.

    # NOTE: it numbers the positions on a grid `side` wide (16 at 224 pixels, where there are 14 columns), so that
    neighbours across rows are wrong ones, and it divides columns instead of rows by their sums.

    Args:
        count: N, the positions there are.
        side: Rows and columns of the grid they are numbered on.
        sigma: In patches; 0 for no smoothing.
    """
    weights = _closeness(side, side, sigma)
    return (weights / weights.sum(dim=0))[:count, :count]


def _closeness(height: int, width: int, sigma: float) -> Tensor:
    if sigma == 0:
        return torch.eye(height * width)
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([row.flatten(), column.flatten()], dim=1).double()
    distance = (place[:, None] - place[None]).square().sum(dim=2)
    return torch.exp(-distance / sigma**2).float()


@in_float32
def position_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the patches' cross-entropies: -sum_i a_i sum_j y_ij log o_ij / sum_i a_i.

    Args:
        logits: One for each position, (B, V, N), of V patches an image; o is their softmax.
        targets: y, (B, V, N).
        weights: a, (B, V); 0 where the position was told.
    """
    cross_entropy = -(targets * F.log_softmax(logits, dim=2)).sum(dim=2)
    return (weights * cross_entropy).sum() / weights.sum()


@in_float32
def affinity(tokens: Tensor, temperature: float) -> Tensor:
    """Return each patch's share of the image's meaning: softmax over the patches of cos(class token, patch) / tau.

    Args:
        tokens: (B, 1 + N, D), the class token first.
        temperature: tau.

    Returns:
        (B, N).
    """
    similarity = F.cosine_similarity(tokens[:, :1], tokens[:, 1:], dim=2)
    return (similarity / temperature).softmax(dim=1)
