"""What a backbone promises: its feature maps and their layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Layout:
    """The shape of a backbone's feature maps.

    Attributes:
        arch: The architecture's name, such as "resnet50".
        family: The architecture family, such as "resnet".
        channels: Channels of the four stages' maps.
        strides: Pixels of the image per step on those maps.
    """

    arch: str
    family: str
    channels: tuple[int, int, int, int]
    strides: tuple[int, int, int, int] = (4, 8, 16, 32)


class Backbone(nn.Module, ABC):
    """An image encoder with a declared feature layout and no classifier."""

    layout: Layout

    @abstractmethod
    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the four stages' maps of (B, 3, H, W) images, finest first."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the last stage's map of (B, 3, H, W) images: (B, C, H / s, W / s) at the stride s."""
        return self.stages(images)[-1]
