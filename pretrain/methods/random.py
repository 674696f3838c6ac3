"""No pretraining: the freshly drawn backbone, the control row of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError
from pretrain.method import Augment, Method
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

    def views(self) -> Augment:
        """Raise UsageError: there is nothing to train."""
        raise UsageError("The method 'random' trains nothing.", "Leave epochs and iterations at 0.")

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
