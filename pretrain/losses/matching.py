"""VICRegL's matching of local features (Bardes, Ponce, LeCun 2022, arXiv 2210.01571, Section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def nearest(query: Tensor, candidates: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Match every query with its nearest candidate, and keep the `count` closest pairs of each image.

    The queries are positions or features. Several of them may be matched with one candidate.

    Args:
        query: (B, N, D).
        candidates: Of the same images, (B, M, D).
        count: gamma; None, or more than N, keeps all pairs.

    Returns:
        The pairs' indices in 0..N-1, rising, and in 0..M-1, (B, gamma) each.
    """
    with torch.autocast(query.device.type, enabled=False):
        precision = torch.promote_types(query.dtype, torch.float32)
        # Coordinates of some hundred pixels lose a tenth of a pixel by the faster way through inner products.
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(query.to(precision), candidates.to(precision), compute_mode=exact)  # (B, N, M)
        shortest, partner = distances.min(dim=2)
        count = query.shape[1] if count is None else min(count, query.shape[1])
        kept = shortest.topk(count, dim=1, largest=False).indices.sort(dim=1).values
    return kept, partner.gather(1, kept)


def pick(features: Tensor, indices: Tensor) -> Tensor:
    """Return the features (B, N, D) at indices (B, K): (B, K, D)."""
    return features.gather(1, indices[:, :, None].expand(-1, -1, features.shape[2]))
