"""DenseCL's dense correspondence and dense contrastive loss (Wang et al. 2021, arXiv 2011.09157)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32
from pretrain.losses.info_nce import info_nce


@torch.no_grad()
def match(query: Tensor, key: Tensor) -> Tensor:
    """Find each query location's most similar key location (Section 3.4, dense correspondence).

    c_i = argmax_j cos(f_i, f'_j). Several queries may pick one key; the matching is not one-to-one.

    Args:
        query: Features of the query view at N locations, (B, N, C).
        key: Features of the key view at M locations, (B, M, C).

    Returns:
        Indices in 0..M-1, (B, N).
    """
    with torch.autocast(query.device.type, enabled=False):
        query = F.normalize(query.float(), dim=2)
        key = F.normalize(key.float(), dim=2)
        return torch.bmm(query, key.transpose(1, 2)).argmax(dim=2)


@in_float32
def dense_info_nce(query: Tensor, key: Tensor, correspondence: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Contrast every location with its corresponding location in the other view (Eq. 2).

    L_r = mean_s -log( exp(r_s.t_s / tau) / ( exp(r_s.t_s / tau) + sum_n exp(r_s.n / tau) ) ),
    where t_s is the key at the location that corresponds to s.

    # NOTE: the paper prints the denominator's positive term without tau; as in the released code every
    # logit is divided by it.

    Args:
        query: L2-normalised dense queries r at N locations, (B, N, D).
        key: L2-normalised dense keys at M locations, (B, M, D).
        correspondence: Which key location belongs to each query location, (B, N).
        negatives: L2-normalised spatial means of the dense keys of other images, (K, D).
        temperature: tau.

    Returns:
        The mean over all B N locations, a scalar.
    """
    index = correspondence[:, :, None].expand(-1, -1, key.shape[2])  # (B, N, D)
    positive = key.gather(1, index)
    return info_nce(query.flatten(0, 1), positive.flatten(0, 1), negatives, temperature)
