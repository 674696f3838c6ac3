"""Projection heads of MoCo v2 and DenseCL."""

from __future__ import annotations

from torch import Tensor, nn


class GlobalHead(nn.Module):
    """Global mean, then a two-layer perceptron (MoCo v2, arXiv 2003.04297, Section 3).

    Args:
        channels: Channels of the backbone's map.
        hidden: Width of the hidden layer.
        dimension: Width of the projection.
    """

    def __init__(self, channels: int, hidden: int, dimension: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, dimension))

    def forward(self, features: Tensor) -> Tensor:
        """Project (B, C, H, W) features to (B, D), not normalised."""
        projection: Tensor = self.layers(features.mean(dim=(2, 3)))
        return projection


class DenseHead(nn.Module):
    """A two-layer perceptron at every location (DenseCL, arXiv 2011.09157, Section 3.2).

    Args:
        channels: Channels of the backbone's map.
        hidden: Width of the hidden layer.
        dimension: Width of the projection.
    """

    def __init__(self, channels: int, hidden: int, dimension: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1), nn.ReLU(), nn.Conv2d(hidden, dimension, kernel_size=1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Project (B, C, H, W) features to (B, D, H, W), not normalised."""
        projection: Tensor = self.layers(features)
        return projection
