"""The box head of the C4 detectors: res5 with one more norm behind it."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.models.layers import ResLayer as Stage
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmengine.registry import MODELS
from torch import Tensor

from benchmark.trunks import same_padding


@MODELS.register_module()
class Res5ExtraNorm(ResLayer):
    """res5 on RoI features, then one new norm (detectron2's Res5ROIHeadsExtraNorm; MoCo, appendix A.2).

    The norm keeps the scale of a network that was not trained for detection in check.

    Args:
        depth: The ResNet's depth; "50x2" where every channel count is doubled.
        norm_cfg: The norm of res5 and of the extra norm.
        norm_eval: Keep res5's running statistics fixed.
        padding: "same" where the trunk pads as TensorFlow does (`benchmark.trunks.same_padding`).
    """

    def __init__(self, depth: int | str, norm_cfg: dict[str, Any], norm_eval: bool = False, padding: str = "") -> None:
        plain, _, times = str(depth).partition("x")
        known = min(int(plain), 152)  # mm* know no depth 200; its last stage is that of 152
        self.layer4: Any
        super().__init__(depth=known, stage=3, norm_cfg=norm_cfg, norm_eval=norm_eval)
        width, block, blocks = 512 * int(times or 1), type(self.layer4[0]), len(self.layer4)
        channels = width * block.expansion
        conv_cfg = same_padding.CONVOLUTION if padding == "same" else None
        if times or conv_cfg:
            self.layer4 = Stage(block, channels // 2, width, blocks, stride=2, norm_cfg=norm_cfg, conv_cfg=conv_cfg)
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map RoI features (R, C4, 14, 14) to (R, C5, 7, 7)."""
        features: Tensor = self.norm(super().forward(x))
        return features
