"""Depth decoders: what they share, and fast up-projection (Laina et al., arXiv:1606.00373)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmseg.models.utils import resize
from torch import Tensor, nn


def reverse_huber(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean reverse Huber (berHu) loss over valid pixels (Laina et al., equations 1 and 2).

    |x| where |x| <= c, else (x^2 + c^2) / (2 c), with x the difference and c a fifth of the batch's largest |x|.

    Args:
        prediction: Depth in metres, (B, 1, H, W).
        target: True depth in metres, (B, 1, H, W); 0 where it is unknown.
    """
    valid = target > 0
    if not valid.any():
        return prediction.sum() * 0.0
    error = (prediction - target)[valid].abs()
    threshold = (0.2 * error.detach().max()).clamp(min=1e-6)
    return torch.where(error <= threshold, error, (error**2 + threshold**2) / (2 * threshold)).mean()


class UpProjection(nn.Module):
    """Double the resolution: unpooling and a 5x5 convolution in two branches, with a residual 3x3 convolution.

    Unpooling writes every feature to the upper left of a 2x2 block of zeros, so that a 5x5 convolution after it
    sees four fixed patterns of zeros. The fast form (section 3.1) runs four small convolutions on the map before
    unpooling, (3x3, 3x2, 2x3, 2x2), and interleaves their outputs: the same function, without the zeros.
    """

    SHAPES = ((3, 3), (3, 2), (2, 3), (2, 2))

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict[str, Any]) -> None:
        super().__init__()
        # Both branches' first convolutions read the same map: one convolution of twice the width.
        self.interleaved = nn.ModuleList(
            nn.Conv2d(in_channels, 2 * channels, shape, bias=False) for shape in self.SHAPES
        )
        self.norm_main = build_norm_layer(norm_cfg, channels)[1]
        self.norm_skip = build_norm_layer(norm_cfg, channels)[1]
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm_out = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, channels, 2h, 2w)."""
        parts = []
        for convolution, (rows, columns) in zip(self.interleaved, self.SHAPES, strict=True):
            # An odd output row lies between two input rows: its window of two ends one row further down.
            top, left = (1 if rows == 3 else 0), (1 if columns == 3 else 0)
            parts.append(convolution(F.pad(x, (left, 1, top, 1))))
        # (B, C, h, w) x 4 -> (B, C * 4, h, w) in PixelShuffle's order -> (B, C, 2h, 2w)
        wide = F.pixel_shuffle(torch.stack(parts, dim=2).flatten(1, 2), 2)
        main, skip = wide.chunk(2, dim=1)
        main = self.norm_out(self.convolution(F.relu(self.norm_main(main))))
        return F.relu(main + self.norm_skip(skip))


class DepthHead(BaseModule):
    """What depth heads share: the loss, and a prediction at the size of the input.

    Args:
        max_depth: Predictions are clipped to [0, max_depth] metres when they are evaluated.
    """

    align_corners = False
    out_channels = 1
    num_classes = 1

    def __init__(self, max_depth: float) -> None:
        # The last layer starts near zero: by Kaiming's fan-out (1 in the probe) it would start at tens of metres.
        last = {"type": "Normal", "name": "prediction", "std": 0.01}
        super().__init__(init_cfg={"type": "Kaiming", "layer": "Conv2d", "override": last})
        self.max_depth = max_depth

    def loss(self, inputs: Any, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """Return {"loss_depth": reverse Huber loss} at the label's resolution."""
        target = torch.stack([sample.gt_depth_map.data for sample in batch_data_samples]).float()
        prediction = self(inputs).float()
        return {"loss_depth": reverse_huber(self._resize(prediction, target.shape[2:]), target)}

    def predict(self, inputs: Any, batch_img_metas: list[dict[str, Any]], test_cfg: Any = None) -> Tensor:
        """Return the depth in metres at the input's size, (B, 1, H, W)."""
        depth = self._resize(self(inputs).float(), batch_img_metas[0]["img_shape"][:2])
        return depth.clamp(0.0, self.max_depth)

    def _resize(self, depth: Tensor, size: Any) -> Tensor:
        resized: Tensor = resize(depth, size=tuple(size), mode="bilinear", align_corners=False)
        return resized


@MODELS.register_module()
class UpProjectionHead(DepthHead):
    """conv5, a 1x1 convolution to half its width, up-projections, and a 3x3 convolution to one map.

    Args:
        in_channels: conv5's channels.
        widths: The up-projections' channels; (512, 256, 128, 64) in the paper.
        norm_cfg: The norm.
        max_depth: See `DepthHead`.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], norm_cfg: dict[str, Any], max_depth: float) -> None:
        super().__init__(max_depth)
        self.reduction = nn.Conv2d(in_channels, in_channels // 2, 1, bias=False)
        self.norm = build_norm_layer(norm_cfg, in_channels // 2)[1]
        channels = (in_channels // 2, *widths)
        self.blocks = nn.Sequential(
            *(UpProjection(narrow, wide, norm_cfg) for narrow, wide in zip(channels, widths, strict=False))
        )
        self.prediction = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, inputs: Any) -> Tensor:
        """Map the backbone's feature maps to depth in metres, (B, 1, 16 h, 16 w) for four blocks."""
        x = F.relu(self.norm(self.reduction(inputs[-1])))
        depth: Tensor = self.prediction(self.blocks(x))
        return depth
