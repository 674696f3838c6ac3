"""ResNets (He et al. 2016, arXiv 1512.03385), as timm builds them."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor

from pretrain.backbones.layout import Backbone, Layout

ARCHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


class ResNet(Backbone):
    """A ResNet without its classifier; parameters have timm's (and torchvision's) names.

    Residual branches are not zero-initialised: a network whose branches are silent would look the same
    whatever their weights are.

    Args:
        arch: One of `ARCHS`.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        network: Any = timm.create_model(arch, pretrained=False, num_classes=0, zero_init_last=False)
        c2, c3, c4, c5 = (info["num_chs"] for info in network.feature_info[1:])
        self.layout = Layout(arch, "resnet", (c2, c3, c4, c5))
        self.conv1, self.bn1 = network.conv1, network.bn1
        self.act1, self.maxpool = network.act1, network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return C2 to C5 of (B, 3, H, W) images, at strides 4, 8, 16 and 32."""
        c1 = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        c2: Tensor = self.layer1(c1)
        c3: Tensor = self.layer2(c2)
        c4: Tensor = self.layer3(c3)
        c5: Tensor = self.layer4(c4)
        return [c2, c3, c4, c5]


def build(arch: str) -> Backbone:
    """Build the ResNet of this name with random weights."""
    return ResNet(arch)
