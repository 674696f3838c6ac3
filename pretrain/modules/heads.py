"""Projection heads, and the encoder that a backbone and a head make."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from pretrain.backbones import Backbone


def perceptron(
    *widths: int,
    norm: bool = False,
    last_bias: bool = True,
    last_norm: bool = False,
    norm_layer: Callable[[int], nn.Module] = nn.BatchNorm1d,
) -> nn.Sequential:
    """Return linear layers with ReLU between them.

    Args:
        widths: Width of the input, of every hidden layer and of the output.
        norm: Normalise the hidden layers, before the ReLU.
        last_bias: Give the last layer a bias.
        last_norm: Normalise the output too.
        norm_layer: By which norm; maps a width to it.
    """
    layers: list[nn.Module] = []
    for number, (narrow, wide) in enumerate(pairwise(widths), start=2):
        last = number == len(widths)
        layers.append(nn.Linear(narrow, wide, bias=last_bias or not last))
        if last_norm if last else norm:
            layers.append(norm_layer(wide))
        if not last:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class GlobalHead(nn.Module):
    """Global mean, then a perceptron (MoCo v2, arXiv 2003.04297, Section 3).

    Args:
        widths: See `perceptron`; the first is the backbone's channels.
        norm: See `perceptron`.
        last_bias: See `perceptron`.
        last_norm: See `perceptron`.
        norm_layer: See `perceptron`.
    """

    def __init__(
        self,
        *widths: int,
        norm: bool = False,
        last_bias: bool = True,
        last_norm: bool = False,
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.layers = perceptron(*widths, norm=norm, last_bias=last_bias, last_norm=last_norm, norm_layer=norm_layer)

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


class Encoder(nn.Module):
    """A backbone and the head on its last map.

    Args:
        backbone: The backbone.
        head: Maps its features (B, C, H, W) to (B, D).
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the projections (B, D) of images (B, 3, H, W), not normalised."""
        projection: Tensor = self.head(self.backbone(images))
        return projection
