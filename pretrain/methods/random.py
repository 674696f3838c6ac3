"""No pretraining: the freshly drawn backbone, the control row of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError
from pretrain.method import Augment, Method, Paper, Views
from pretrain.recipe import Recipe

NOTHING = Recipe(source="nothing is trained", epochs=0)


class Random(Method):
    """Export the backbone as it was drawn; every recipe has zero epochs and reads no image.

    Args:
        backbone: The network.
    """

    paper = Paper("He et al.", 2015, "1502.01852")
    cost = "nothing"
    families = ("resnet", "regnet", "convnext", "vit", "navit")
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": NOTHING,
        "coco-800e": NOTHING,
        "imagenet-90e": NOTHING,
        "scenes": NOTHING,
    }

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def views(self) -> Augment:
        """Raise UsageError: there is nothing to train."""
        raise UsageError("The method 'random' trains nothing.", "Leave epochs and iterations at 0.")

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Raise AssertionError: without views it is never called."""
        raise AssertionError("the method 'random' has no loss")

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone
