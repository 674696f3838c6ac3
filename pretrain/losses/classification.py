"""Supervised classification losses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


@in_float32
def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean of -log softmax(logits)[label].

    Args:
        logits: (B, classes).
        label: Class indices, (B,).
    """
    return F.cross_entropy(logits, label)


@in_float32
def sigmoid_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean binary cross entropy over all images and classes.

    -y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)), for images that show several classes at once.

    Args:
        logits: (B, classes).
        label: 1 where the class is present and 0 elsewhere, (B, classes).
    """
    return F.binary_cross_entropy_with_logits(logits, label)
