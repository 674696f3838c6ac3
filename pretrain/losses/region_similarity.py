"""ReSim's contrast of image regions (Xiao et al. 2021, arXiv 2103.12902)."""

from __future__ import annotations

from torch import Tensor

from pretrain.losses.info_nce import info_nce_each


def region_info_nce(
    query: Tensor, key: Tensor, overlaps: Tensor, negatives: Tensor, temperature: float, count: Tensor
) -> Tensor:
    """Tell the region that a window shows in the other view from the regions of all images' other views.

    L = 1/count sum_i -log( exp(q_i.k_i / tau) / ( exp(q_i.k_i / tau) + sum_n exp(q_i.n / tau) ) ), over the windows i
    that lie in the views' overlap; 0 where there is none.

    # NOTE: as in the released code, the negatives hold the window's own surroundings, too.

    Args:
        query: L2-normalised features of the windows in the first view, (N, D).
        key: L2-normalised features of the same windows in the other view, (N, D).
        overlaps: Whether a window lies in the overlap, bool, (N,).
        negatives: L2-normalised features at the places of the other views, (K, D).
        temperature: tau.
        count: What the sum is divided by: the number of windows in the overlap.

    Returns:
        A scalar.
    """
    return info_nce_each(query[overlaps], key[overlaps], negatives, temperature).sum() / count
