"""Linear probes: conv5's frozen features, whitened, and one 1x1 convolution."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from benchmark.heads.depth import DepthHead
from benchmark.heads.whitening import Whitening


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """Segmentation.

    Args:
        whitening: `Whitening`'s arguments without the width.
        kwargs: mmsegmentation's arguments of every head.
    """

    def __init__(self, whitening: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.whitening = Whitening(self.in_channels, **whitening)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Map the backbone's feature maps to class scores (B, classes, h, w)."""
        scores: Tensor = self.cls_seg(self.whitening(inputs[-1]))
        return scores


@MODELS.register_module()
class LinearDepthHead(DepthHead):
    """Depth, measured from the middle of the range.

    The convolution predicts depth / max_depth - 1/2: a probe of few steps need not walk to the mean depth first.

    Args:
        in_channels: conv5's channels.
        whitening: `Whitening`'s arguments without the width.
        max_depth: See `DepthHead`.
    """

    def __init__(self, in_channels: int, whitening: dict[str, Any], max_depth: float) -> None:
        super().__init__(max_depth)
        self.whitening = Whitening(in_channels, **whitening)
        self.prediction = nn.Conv2d(in_channels, 1, 1)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Map the backbone's feature maps to depth in metres, (B, 1, h, w)."""
        depth: Tensor = self.max_depth * (0.5 + self.prediction(self.whitening(inputs[-1])))
        return depth
