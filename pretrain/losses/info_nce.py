"""InfoNCE against a queue of negatives (MoCo, He et al. 2020, arXiv 1911.05722)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.losses.precision import in_float32


@in_float32
def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Tell each query's positive key from the negatives (Eq. 1).

    L = mean_i -log( exp(q_i.k_i / tau) / ( exp(q_i.k_i / tau) + sum_n exp(q_i.n / tau) ) )

    Args:
        query: L2-normalised queries, (N, D).
        positive: L2-normalised keys, (N, D); key i belongs to query i.
        negatives: L2-normalised keys of other images, (K, D).
        temperature: tau.

    Returns:
        The mean over the N queries, a scalar.
    """
    positive_logits = (query * positive).sum(dim=1, keepdim=True)  # (N, 1)
    logits = torch.cat([positive_logits, query @ negatives.T], dim=1) / temperature  # (N, 1 + K)
    return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))
