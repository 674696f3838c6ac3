"""DINO's self-distillation: cross-entropy with a teacher's targets, across views.

Caron et al. 2021, arXiv 2104.14294, Section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32
from pretrain.losses.regression import cosine_regression


@in_float32
def cross_entropy(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return H(P_t, P_s) = -sum_k P_t log softmax(g_s / tau_s)_k, averaged over all but the last dimension.

    Args:
        logits: g_s, the student's output, (..., K).
        targets: P_t, (..., K); the caller stops its gradient.
        temperature: tau_s.
    """
    return -(targets * F.log_softmax(logits / temperature, dim=-1)).sum(dim=-1).mean()


def across_views(student: Sequence[Tensor], targets: Sequence[Tensor], temperature: float) -> Tensor:
    """Return the cross-entropy of each view with the teacher's other views (Eq. 3).

    # NOTE: the mean over the pairs, as in the paper's Algorithm 1 and in the released code; Eq. 3 prints their sum.

    Args:
        student: The student's output, (B, K) a view.
        targets: The teacher's probabilities, (B, K) for each of the first views.
        temperature: tau_s.
    """
    views, teachers = len(student), len(targets)
    total = torch.zeros((), device=student[0].device)
    for number, logits in enumerate(student):
        others = [target for view, target in enumerate(targets) if view != number]
        total = total + cross_entropy(logits, torch.stack(others).sum(dim=0), temperature)  # linear in the targets
    return total / (teachers * (views - 1))


def mean_squared_error(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return the squared distance of the normalised outputs over the same pairs of views (Table 7, row 5).

    # NOTE: of L2-normalised outputs, as in BYOL; the paper does not print the equation. Its row differs from DINO's in
    the loss alone, so that the teacher's outputs should be centred ones.

    Args:
        student: The student's output, (B, K) a view.
        teacher: The teacher's less the centre, (B, K) for each of the first views.
    """
    pairs = [(s, t) for v, s in enumerate(student) for u, t in enumerate(teacher) if u != v]
    return torch.stack([cosine_regression(s, t) for s, t in pairs]).mean()


@in_float32
def entropy(probabilities: Tensor) -> Tensor:
    """Return the mean entropy of probabilities (..., K): 0 or log K where the teacher has collapsed (Section 5.3)."""
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1).mean()
