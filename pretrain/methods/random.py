"""No pretraining: the freshly drawn backbone, the control row of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from pretrain.backbones import Backbone
from pretrain.method import Method
from pretrain.recipe import Recipe


class Random(Method):
    """Export the backbone as it was drawn; every recipe has zero epochs and reads no image.

    Args:
        backbone: The network.
    """

    recipes: ClassVar[Mapping[str, Recipe]] = {
        name: Recipe(source="nothing is trained", epochs=0)
        for name in ("imagenet-200e", "coco-800e", "imagenet-90e", "scenes")
    }

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
