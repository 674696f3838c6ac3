"""A teacher's targets: sharp probabilities that no output may win (DINO, arXiv 2104.14294, Sections 3.1 and 5.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.engine.precision import in_float32
from pretrain.errors import unknown
from pretrain.modules.distributed import gather

NORMALISATIONS = ("centre", "sinkhorn")


class Targets(nn.Module):
    """Sharpen a teacher's outputs, and hold a balance between them.

    Args:
        dimension: K, the outputs' width.
        momentum: m, of the centre; a buffer, so it is saved with the training state.
        normalisation: What keeps one output from winning, "centre" or "sinkhorn".

    Raises:
        UsageError: There is no such normalisation.
    """

    centre: Tensor  # (K,)

    def __init__(self, dimension: int, momentum: float, normalisation: str = "centre") -> None:
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise unknown("normalisation", normalisation, NORMALISATIONS)
        self.register_buffer("centre", torch.zeros(dimension))
        self.momentum = momentum
        self.normalisation = normalisation

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the teacher's probabilities P_t, (..., K).

        Args:
            logits: g_t, the teacher's output, (..., K); every process has as many.
            temperature: tau_t.
        """
        if self.normalisation == "centre":
            return sharpen(logits, self.centre, temperature)
        return sinkhorn(logits.flatten(0, -2), temperature).view(logits.shape)

    @torch.no_grad()
    def update(self, outputs: Tensor) -> None:
        """Move the centre towards the global batch's mean: c <- m c + (1 - m) mean (Eq. 4).

        Args:
            outputs: This process's, (..., K); every process has as many.
        """
        mine = outputs.float().flatten(0, -2).mean(dim=0, keepdim=True)
        self.centre.lerp_(gather(mine).mean(dim=0).to(self.centre.dtype), 1 - self.momentum)


@in_float32
def sharpen(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return the probabilities softmax((g_t - c) / tau_t), (..., K).

    Args:
        logits: g_t, (..., K).
        centre: c, (K,).
        temperature: tau_t.
    """
    return ((logits - centre) / temperature).softmax(dim=-1)


@in_float32
def sinkhorn(logits: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Return probabilities in which every output is used as often (SwAV, arXiv 2006.09882, Section 3.1).

    exp(g_t / tau_t) of the global batch, its columns and rows scaled in turn until they sum to 1 / K and 1 / N; the
    rows then sum to 1.

    Args:
        logits: This process's rows of g_t, (N, K).
        temperature: tau_t.
        iterations: How often.
    """
    log = logits / temperature
    for _ in range(iterations):
        log = log - gather(log.logsumexp(dim=0, keepdim=True)).logsumexp(dim=0)  # each output's share of the samples
        log = log - log.logsumexp(dim=1, keepdim=True)
    return log.exp()
