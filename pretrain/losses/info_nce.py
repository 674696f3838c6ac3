"""InfoNCE against a queue of negatives (MoCo, He et al. 2020, arXiv 1911.05722)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32

_LOGITS = 2**23
"""Logits that are in memory at a time: dense losses have thousands of queries, and a queue 65,536 keys."""


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the mean over the N queries of `info_nce_each` (Eq. 1), a scalar."""
    return info_nce_each(query, positive, negatives, temperature).mean()


@in_float32
def info_nce_each(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Tell each query's positive key from the negatives.

    L_i = -log( exp(q_i.k_i / tau) / ( exp(q_i.k_i / tau) + sum_n exp(q_i.n / tau) ) )

    Args:
        query: L2-normalised queries, (N, D).
        positive: L2-normalised keys, (N, D); key i belongs to query i.
        negatives: L2-normalised keys of other images, (K, D), to which no gradient flows.
        temperature: tau.

    Returns:
        L, (N,).
    """
    query = query / temperature
    positives = (query * positive).sum(dim=1)  # (N,)
    rest: Tensor = _LogSumExp.apply(query, negatives)  # type: ignore[no-untyped-call]  # (N,)
    return F.softplus(rest - positives)


@in_float32
def info_nce_within(query: Tensor, keys: Tensor, own: Tensor, temperature: float) -> Tensor:
    """Tell each query's key from the other keys of the global batch; gradients flow to both (Figure 2a).

    Args:
        query: This process's L2-normalised queries, (B, D).
        keys: The global batch's L2-normalised keys, (N, D).
        own: Where this process's images stand in the global batch, (B,).
        temperature: tau.

    Returns:
        The mean over the queries, a scalar.
    """
    return F.cross_entropy(query @ keys.T / temperature, own)


class _LogSumExp(torch.autograd.Function):
    """log sum_n exp(q_i.n) of queries (N, D) and keys (K, D): (N,). The N K logits are never in memory together.

    The gradient to q_i is the mean of the keys, weighted by their softmax; it is found on the way. The keys get none.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor) -> Tensor:
        """Return the logarithms."""
        found, means = query.new_empty(len(query)), torch.empty_like(query)
        rows = max(1, _LOGITS // len(keys))
        for some, value, mean in zip(*(torch.split(one, rows) for one in (query, found, means)), strict=True):
            logits = some @ keys.T
            largest = logits.max(dim=1, keepdim=True)
            shares = logits.softmax(dim=1)
            torch.sub(largest.values, shares.gather(1, largest.indices).log(), out=value[:, None])
            torch.mm(shares, keys, out=mean)
        ctx.save_for_backward(means)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the queries."""
        (means,) = ctx.saved_tensors
        return gradients[0][:, None] * means, None
