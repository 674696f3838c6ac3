"""Signs that a representation has collapsed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def feature_std(features: Tensor) -> float:
    """Return the mean per-dimension standard deviation of the L2-normalised features, times sqrt(D).

    1 for features spread evenly over the sphere, 0 when all are the same (SimSiam, arXiv 2011.10566,
    Section 4.1, which prints it without the factor).

    Args:
        features: (N, D).
    """
    unit = F.normalize(features.float(), dim=1)
    return float(unit.std(dim=0).mean() * features.shape[1] ** 0.5)


@torch.no_grad()
def effective_rank(features: Tensor) -> float:
    """Return how many directions the L2-normalised, centred features fill.

    exp of the entropy of the singular values divided by their sum (Roy and Vetterli 2007, Definition 1); it
    is at most min(N - 1, D), and 1 when the features lie on a line.

    Args:
        features: (N, D).
    """
    unit = F.normalize(features.float(), dim=1)
    singular = torch.linalg.svdvals(unit - unit.mean(dim=0))
    share = singular / singular.sum().clamp_min(1e-12)
    return float(torch.exp(-torch.xlogy(share, share).sum()))
