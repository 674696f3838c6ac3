"""VICReg's three terms (Bardes, Ponce, LeCun 2022, arXiv 2105.04906, Section 4.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.engine.precision import in_float32


@in_float32
def invariance(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean squared difference of two embeddings of one shape.

    # NOTE: the mean over dimensions as well, as in the paper's Algorithm 1 and in the released code; Equation 5
    prints the sum over them.
    """
    return F.mse_loss(first, second)


@in_float32
def variance(embedding: Tensor) -> Tensor:
    """Return by how much the dimensions' standard deviations fall short of 1 (Eq. 1 and 2).

    v(Z) = 1/D sum_j max(0, gamma - sqrt(Var(z_j) + epsilon)), with the unbiased variance, gamma = 1, epsilon = 1e-4.

    Args:
        embedding: Z, (N, D), the global batch's; or (N, K, D), whose K embeddings are averaged over.
    """
    return F.relu(1 - torch.sqrt(embedding.var(dim=0) + 1e-4)).mean()


@in_float32
def covariance(embedding: Tensor) -> Tensor:
    """Return the squared covariances between different dimensions, over D (Eq. 3 and 4).

    c(Z) = 1/D sum_{i != j} C(Z)_ij^2, with C(Z) = 1/(N-1) sum_n (z_n - mean)(z_n - mean)^T.

    Args:
        embedding: Z, (N, D), the global batch's; or (N, K, D), whose K embeddings are averaged over.
    """
    count, dimension = len(embedding), embedding.shape[-1]
    centred = (embedding - embedding.mean(dim=0)).reshape(count, -1, dimension).transpose(0, 1)  # (K, N, D)
    transposed = centred.transpose(1, 2)
    # The products of few samples' dimensions and of the samples have the same sum of squares.
    products = centred @ transposed if count < dimension else transposed @ centred
    variances = centred.square().sum(dim=1)  # (K, D)
    squares = products.square().sum(dim=(1, 2)) - variances.square().sum(dim=1)
    return squares.mean() / (count - 1) ** 2 / dimension
