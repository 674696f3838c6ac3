"""Regressing the teacher's projection (BYOL, Grill et al. 2020, arXiv 2006.07733)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


@in_float32
def cosine_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared distance of the normalised vectors, 2 - 2 cos(prediction, target) (Eq. 2).

    Args:
        prediction: (N, D).
        target: (N, D); the caller stops its gradient.
    """
    return (2 - 2 * F.cosine_similarity(prediction, target, dim=1)).mean()
