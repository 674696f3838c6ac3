"""mm* ResNets that pad as TensorFlow does: for checkpoints that were trained so (BYOL, DetCon).

At stride 2 and an even size, padding "SAME" puts its odd pixel at the bottom and the right, where torch's `padding=1`
puts it at the top and the left: every strided layer shifts. Taken as a plain ResNet, BYOL's published ResNet-50 has
about 70% instead of 74.6% of linear ImageNet accuracy (google-deepmind/deepmind-research, issue 84).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import mmdet.registry
import mmseg.registry
from mmdet.models.backbones import ResNet as DetectionResNet
from mmseg.models.backbones import ResNet as SegmentationResNet
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.trunks.deep import deepened

NAME = "SamePaddedResNet"
CONVOLUTION = {"type": "Conv2dAdaptivePadding"}  # mmcv's; "adaptive" means SAME


class SameMaxPool(nn.Module):
    """The stem's 3x3 max pooling at stride 2, with TensorFlow's padding SAME."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ceil(H / 2), ceil(W / 2))."""
        height, width = images.shape[-2:]
        sides = (width % 2, 1, height % 2, 1)  # an even size gets its one pixel at the end, an odd size one at each
        return F.max_pool2d(F.pad(images, sides, value=-math.inf), kernel_size=3, stride=2)


def _same(plain: Any) -> Any:
    """Return a subclass of an mm* ResNet whose convolutions and pooling pad with SAME; names stay as they are."""

    class SamePaddedResNet(plain):
        arch_settings: ClassVar[dict[int, Any]] = deepened(plain)

        def __init__(self, **options: Any) -> None:
            super().__init__(conv_cfg=CONVOLUTION, **options)

        def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
            super()._make_stem_layer(in_channels, stem_channels)
            self.maxpool = SameMaxPool()

    return SamePaddedResNet


mmdet.registry.MODELS.register_module(name=NAME, module=_same(DetectionResNet))
mmseg.registry.MODELS.register_module(name=NAME, module=_same(SegmentationResNet))
