"""Projection heads, and the encoder that a backbone and a head make."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone


def perceptron(
    *widths: int,
    norm: bool = False,
    last_bias: bool = True,
    last_norm: Callable[[int], nn.Module] | None = None,
    norm_layer: Callable[[int], nn.Module] = nn.BatchNorm1d,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Return linear layers with an activation between them.

    Args:
        widths: Width of the input, of every hidden layer and of the output.
        norm: Normalise the hidden layers, before the activation.
        last_bias: Give the last layer a bias.
        last_norm: By which norm the output is normalised too; maps a width to it, None for none.
        norm_layer: By which norm the hidden layers are; maps a width to it.
        activation: The activation.
    """
    layers: list[nn.Module] = []
    for number, (narrow, wide) in enumerate(pairwise(widths), start=2):
        last = number == len(widths)
        layers.append(nn.Linear(narrow, wide, bias=last_bias or not last))
        if last and last_norm is not None:
            layers.append(last_norm(wide))
        if not last:
            layers += [norm_layer(wide), activation()] if norm else [activation()]
    return nn.Sequential(*layers)


def scaling_norm(width: int) -> nn.BatchNorm1d:
    """Return a batch norm that learns a scale and no offset."""
    norm = nn.BatchNorm1d(width)
    norm.register_parameter("bias", None)
    return norm


class ScoreLinear(nn.Linear):
    """A linear layer that works in float32, whatever the autocast around it.

    Its outputs are scores, which are divided by temperatures of a few hundredths.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., C) to (..., K)."""
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.to(self.weight.dtype))


class GlobalHead(nn.Module):
    """Global mean, then a perceptron (MoCo v2, arXiv 2003.04297, Section 3).

    Args:
        widths: See `perceptron`; the first is the backbone's channels.
        norm: See `perceptron`.
        last_bias: See `perceptron`.
        last_norm: See `perceptron`.
    """

    def __init__(
        self,
        *widths: int,
        norm: bool = False,
        last_bias: bool = True,
        last_norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.layers = perceptron(*widths, norm=norm, last_bias=last_bias, last_norm=last_norm)

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


class PrototypeHead(nn.Module):
    """A perceptron, L2 norm, and a weight-normalised linear layer (DINO, arXiv 2104.14294, Appendix C).

    The last layer works in float32: its outputs are divided by temperatures of a few hundredths.

    Args:
        channels: Width of the input.
        hidden: Width of the two hidden layers.
        bottleneck: Width of what is L2-normalised.
        dimension: K, the output's width.
        norm: Normalise the hidden layers by batch norm.
        unit: Keep the last layer's rows at length 1; else their lengths are learned, from 1 on.
    """

    def __init__(
        self, channels: int, hidden: int, bottleneck: int, dimension: int, norm: bool = False, unit: bool = True
    ) -> None:
        super().__init__()
        self.layers = perceptron(channels, hidden, hidden, bottleneck, norm=norm, activation=nn.GELU)
        self.last = nn.Linear(bottleneck, dimension, bias=False)
        self.lengths = None if unit else nn.Parameter(torch.ones(dimension, 1))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., C) to (..., K)."""
        rows = self.layers(features.reshape(-1, features.shape[-1]))  # batch norm wants (N, C)
        bottleneck = F.normalize(rows.view(*features.shape[:-1], -1).float(), dim=-1)
        with torch.autocast(features.device.type, enabled=False):
            weight = F.normalize(self.last.weight, dim=1)
            if self.lengths is not None:
                weight = self.lengths * weight
            return F.linear(bottleneck.to(weight.dtype), weight)

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the last layer's parameters."""
        return [*self.last.parameters(), *([] if self.lengths is None else [self.lengths])]


class Headed(nn.Module):
    """A backbone and the head on what it gives; its kinds tell what that is, and what they return.

    Args:
        backbone: The backbone.
        head: Maps its features, or what is pooled from them, to projections.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


class Encoder(Headed):
    """A backbone and its head, which return projections."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the projections (B, D) of images (B, 3, H, W), not normalised."""
        projection: Tensor = self.head(self.backbone(images))
        return projection
