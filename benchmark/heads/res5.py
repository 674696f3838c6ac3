"""The box head of the C4 detectors: res5 with one more norm behind it."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class Res5ExtraNorm(ResLayer):
    """res5 on RoI features, then one new norm (detectron2's Res5ROIHeadsExtraNorm; MoCo, appendix A.2).

    The norm keeps the scale of a network that was not trained for detection in check.

    Args:
        depth: The ResNet's depth.
        norm_cfg: The norm of res5 and of the extra norm.
        norm_eval: Keep res5's running statistics fixed.
        padding: "same" where the trunk pads as TensorFlow does (`benchmark.same_padding`).
    """

    def __init__(self, depth: int, norm_cfg: dict[str, Any], norm_eval: bool = False, padding: str = "") -> None:
        super().__init__(depth=depth, stage=3, norm_cfg=norm_cfg, norm_eval=norm_eval)
        if padding == "same":
            whole = MODELS.build({"type": "mmdet.SamePaddedResNet", "depth": depth, "norm_cfg": norm_cfg})
            self.layer4 = whole.layer4
        channels = 512 * self.layer4[0].expansion
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C4, 14, 14) to (R, C5, 7, 7)."""
        features: Tensor = self.norm(super().forward(x))
        return features
