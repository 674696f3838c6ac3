"""CPC's InfoNCE over a grid of patches (van den Oord, Li, Vinyals 2018, arXiv 1807.03748, Section 2.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


@in_float32
def predict_rows(prediction: Tensor, targets: Tensor, own: Tensor, offset: int) -> Tensor:
    """Tell the feature k rows below from those of all patches of all images (Eq. 4).

    L = mean_{b,i,j} -log( exp(z_{b,i+k,j} . p_bij) / sum_{patches l of all images} exp(z_l . p_bij) ), with the
    prediction p = W_k c of the context c, over the rows i that have a row k below.

    Args:
        prediction: p of this process's images at all places, (B, D, h, w).
        targets: z of the global batch, (N, D, h, w).
        own: Where this process's images stand in the global batch, (B,).
        offset: k.

    Returns:
        A scalar.
    """
    _, dimension, height, width = targets.shape
    rows = torch.arange(height - offset, device=own.device) + offset
    columns = torch.arange(width, device=own.device)
    right = (own[:, None, None] * height + rows[None, :, None]) * width + columns  # (B, h - k, w)
    predictions = prediction[:, :, : height - offset].permute(0, 2, 3, 1).reshape(-1, dimension)
    logits = predictions @ targets.permute(0, 2, 3, 1).reshape(-1, dimension).T  # (B (h - k) w, N h w)
    return F.cross_entropy(logits, right.flatten())
