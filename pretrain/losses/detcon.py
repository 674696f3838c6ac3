"""DetCon's contrastive detection loss (Henaff et al. 2021, arXiv 2103.10957, Section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.engine.precision import in_float32
from pretrain.errors import UsageError


@dataclass(frozen=True)
class Contrast:
    """What a region is held against; the defaults are the paper's method, the rest its ablations.

    Attributes:
        temperature: tau.
        one_view: Take the positives from the region's own view, not from the other one, whose regions with its id are
            then no negatives.
        local_negatives: Count the other regions of the same image as negatives (the released loss's name).
        negative_images: From how many images of the global batch negatives come, the region's own image and those
            behind it; None takes all.

    Raises:
        UsageError: No negative is left.
    """

    temperature: float
    one_view: bool = False
    local_negatives: bool = True
    negative_images: int | None = None

    def __post_init__(self) -> None:
        """Refuse to contrast with nothing."""
        if self.negative_images == 1 and not self.local_negatives:
            raise UsageError(
                "Neither the region's own image nor another one gives negatives.",
                "Set local_negatives=True, or negative_images to 2 or more.",
            )


@in_float32
def contrastive_detection(
    prediction: Tensor,
    own_targets: Tensor,
    other_targets: Tensor,
    ids: Tensor,
    other_ids: Tensor,
    own: Tensor,
    contrast: Contrast,
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
        contrast: tau, and the ablations of the sums' bounds.

    Returns:
        The mean over the B M regions, a scalar.
    """
    images, count = ids.shape
    row = torch.arange(images, device=ids.device)
    same_here = ids[:, :, None] == ids[:, None]  # (B, M, M)
    same_there = ids[:, :, None] == other_ids[:, None]
    with_positives, without = other_targets, own_targets
    positive, masked = same_there, same_here
    if contrast.one_view:
        with_positives, without, positive, masked = without, with_positives, masked, positive
    queries = prediction.flatten(0, 1) / contrast.temperature  # (B M, D)
    across = (queries @ with_positives.flatten(0, 1).T).view(images, count, -1, count)  # (B, M, N, M)
    within = (queries @ without.flatten(0, 1).T).view(images, count, -1, count)
    similarity = across[row, :, own]  # (B, M, M), to the image's own regions
    if not contrast.local_negatives:
        masked = torch.ones_like(masked)
        across[row, :, own] = similarity.masked_fill(~positive, -torch.inf)
    within[row, :, own] = within[row, :, own].masked_fill(masked, -torch.inf)
    logits = torch.cat([across, within], dim=3)  # (B, M, N, 2 M)
    if contrast.negative_images is not None:
        steps = (torch.arange(logits.shape[2], device=own.device) - own[:, None]) % logits.shape[2]  # (B, N)
        logits = logits.masked_fill((steps >= contrast.negative_images)[:, None, :, None], -torch.inf)
    log_probability = similarity - logits.flatten(2).logsumexp(dim=2, keepdim=True)
    positives = positive.sum(dim=2)
    loss = -log_probability.masked_fill(~positive, 0).sum(dim=2) / positives.clamp_min(1)
    return (loss * (positives > 0) / same_here.sum(dim=2)).mean()


def both_views(
    predictions: Sequence[Tensor], targets: Sequence[Tensor], ids: Sequence[Tensor], own: Tensor, contrast: Contrast
) -> Tensor:
    """Return the losses of the two views, each with the other as targets, added up.

    Args:
        predictions: This process's L2-normalised predictions, (B, M, D) a view.
        targets: The global batch's L2-normalised targets, (N, M, D) a view, in the ranks' order.
        ids: The regions' ids, (B, M) a view.
        own: Where this process's images stand in the global batch, (B,).
        contrast: tau, and the ablations.
    """
    first, second = (
        contrastive_detection(predictions[this], targets[this], targets[other], ids[this], ids[other], own, contrast)
        for this, other in ((0, 1), (1, 0))
    )
    return first + second
