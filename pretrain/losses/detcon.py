"""DetCon's contrastive detection loss (Henaff et al. 2021, arXiv 2103.10957, Section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pretrain.losses.precision import in_float32


@in_float32
def contrastive_detection(
    prediction: Tensor,
    own_targets: Tensor,
    other_targets: Tensor,
    ids: Tensor,
    other_ids: Tensor,
    own: Tensor,
    temperature: float,
) -> Tensor:
    """Tell a region in the other view from all other regions of all images, in both views (Eq. 3).

    Of image b, region m of this view is positive with every drawn region n of the other view that has its id:
    l = -1/|P| sum_{n in P} log( exp(q_bm . t'_bn / tau) / sum_k exp(q_bm . t_k / tau) ), where k runs over the regions
    of all images in both views but for those of image b with m's id in this very view. A region that the other view
    does not show counts 0, and one that was drawn r times counts 1/r each time.

    Args:
        prediction: L2-normalised q of this process's images in this view, (B, M, D).
        own_targets: L2-normalised t of the global batch in this view, (N, M, D).
        other_targets: Likewise t' in the other view.
        ids: The regions' ids in this view, (B, M).
        other_ids: Their ids in the other view, (B, M).
        own: Where this process's images stand in the global batch, (B,).
        temperature: tau.

    Returns:
        The mean over the B M regions, a scalar.
    """
    images, count = ids.shape
    queries = prediction.flatten(0, 1)  # (B M, D)
    across = (queries @ other_targets.flatten(0, 1).T / temperature).view(images, count, -1, count)  # (B, M, N, M)
    within = (queries @ own_targets.flatten(0, 1).T / temperature).view(images, count, -1, count)
    row = torch.arange(images, device=ids.device)
    same_here = ids[:, :, None] == ids[:, None]  # (B, M, M)
    same_there = ids[:, :, None] == other_ids[:, None]
    within[row, :, own] = within[row, :, own].masked_fill(same_here, -torch.inf)
    logits = torch.cat([across, within], dim=2).flatten(2)  # (B, M, 2 N M)
    log_probability = across[row, :, own] - logits.logsumexp(dim=2, keepdim=True)  # (B, M, M)
    positives = same_there.sum(dim=2)
    loss = -(log_probability * same_there).sum(dim=2) / positives.clamp_min(1)
    return (loss * (positives > 0) / same_here.sum(dim=2)).mean()


def both_views(
    predictions: Sequence[Tensor], targets: Sequence[Tensor], ids: Sequence[Tensor], rank: int, temperature: float
) -> Tensor:
    """Return the losses of the two views, each with the other as targets, added up.

    Args:
        predictions: This process's L2-normalised predictions, (B, M, D) a view.
        targets: The global batch's L2-normalised targets, (N, M, D) a view, in the ranks' order.
        ids: The regions' ids, (B, M) a view.
        rank: This process's number.
        temperature: tau.
    """
    images = len(ids[0])
    own = torch.arange(rank * images, (rank + 1) * images, device=ids[0].device)
    first, second = (
        contrastive_detection(predictions[this], targets[this], targets[other], ids[this], ids[other], own, temperature)
        for this, other in ((0, 1), (1, 0))
    )
    return first + second
