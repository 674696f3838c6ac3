"""NT-Xent: normalised, temperature-scaled cross entropy (SimCLR, Chen et al. 2020, arXiv 2002.05709)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


@in_float32
def nt_xent(queries: Tensor, keys: Tensor, own: Tensor, temperature: float) -> Tensor:
    """Tell each view's other view from all views of the global batch but itself (Eq. 1).

    l(i, j) = -log( exp(z_i.z_j / tau) / sum_{k != i} exp(z_i.z_k / tau) ), averaged over the views i.

    # NOTE: the released code adds the means of the two directions: twice this value.

    Args:
        queries: This process's L2-normalised projections of both views, (2, B, D).
        keys: The global batch's, (2, N, D), this process's among them.
        own: Where this process's images stand in the global batch, (B,).
        temperature: tau.

    Returns:
        The mean over this process's 2 B views, a scalar.
    """
    images = keys.shape[1]
    itself = torch.cat([own, own + images])
    other = torch.cat([own + images, own])
    logits = queries.flatten(0, 1) @ keys.flatten(0, 1).T / temperature  # (2 B, 2 N)
    return F.cross_entropy(logits.scatter(1, itself[:, None], -torch.inf), other)
