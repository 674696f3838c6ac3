"""Linear probes: the frozen features, normalised without a learned scale, and one linear layer."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """Segmentation by one 1x1 convolution.

    The norm has no learned scale or shift, so that the probe stays linear, and makes one learning rate fair to
    checkpoints whose features differ in scale.
    """

    def __init__(self, norm_cfg: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(norm_cfg=norm_cfg, **kwargs)
        self.norm = build_norm_layer({"requires_grad": False, **norm_cfg}, self.in_channels)[1]

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Map the backbone's feature maps to class scores (B, classes, h, w)."""
        scores: Tensor = self.cls_seg(self.norm(self._transform_inputs(inputs)))
        return scores
