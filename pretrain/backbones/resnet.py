"""ResNets (He et al. 2016, arXiv 1512.03385), as timm builds them, and the wide ones of SimCLR and BYOL.

`resnet50x2` has every channel count of ResNet-50 times 2 (SimCLR, arXiv 2002.05709; BYOL, arXiv 2006.07733,
section 4). It is another network than `wide_resnet50_2`, in which the 3x3 convolutions alone are wider.
"""

from __future__ import annotations

from typing import Any

import timm
from timm.models.resnet import Bottleneck
from timm.models.resnet import ResNet as TimmResNet
from torch import Tensor, nn

from pretrain.backbone import Backbone, Layout

WIDE = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3), "resnet200": (3, 24, 36, 3)}
ARCHS = ("resnet18", "resnet34", *WIDE, *(f"{arch}x{times}" for arch in WIDE for times in (2, 4)))


class ResNet(Backbone):
    """A ResNet without its classifier; parameters have timm's (and torchvision's) names.

    # NOTE: residual branches are not zero-initialised, as those of the released SimCLR, BYOL, DetCon, VICReg and
    VICRegL are (each branch's last norm starts with a scale of 0): a network whose branches are silent would look the
    same whatever their weights are, and the random rows of a table start as the pretrained ones did.

    Args:
        arch: One of `ARCHS`.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        plain, _, times = arch.partition("x")
        network: Any = (
            _wide(WIDE[plain], int(times))
            if times
            else timm.create_model(arch, pretrained=False, num_classes=0, zero_init_last=False)
        )
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


def _wide(blocks: tuple[int, ...], times: int) -> Any:
    """Return timm's ResNet with every channel count multiplied: timm knows it for the stages, not for the stem."""
    stem = 64 * times
    bottleneck: Any = Bottleneck
    channels = (stem, 2 * stem, 4 * stem, 8 * stem)
    network: Any = TimmResNet(bottleneck, blocks, channels=channels, num_classes=0)
    first = network.layer1[0]
    network.conv1, network.bn1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(stem)
    first.conv1 = nn.Conv2d(stem, stem, 1, bias=False)
    first.downsample[0] = nn.Conv2d(stem, 4 * stem, 1, bias=False)
    network.init_weights(zero_init_last=False)
    return network
