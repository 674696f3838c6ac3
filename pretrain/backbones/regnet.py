"""RegNetYs (Radosavovic et al. 2020, arXiv 2003.13678), as timm builds them.

320, 640, 1280 and 2560 are SEER's (Goyal et al. 2021, arXiv 2103.01988, and 2022, arXiv 2202.08360): RegNetY-32GF,
64GF, 128GF and 256GF, the last with the widths of VISSL's `regnet256Gf_1.yaml`.
"""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn

from pretrain.backbone import Backbone, Layout

ARCHS = tuple(f"regnety_{size}" for size in ("004", "016", "160", "320", "640", "1280", "2560"))


class RegNetY(Backbone):
    """A RegNetY without its classifier; parameters have timm's names.

    Residual branches are not zero-initialised: a network whose branches are silent would look the same
    whatever their weights are.

    Args:
        arch: One of `ARCHS`.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        network: Any = timm.create_model(arch, pretrained=False, num_classes=0, zero_init_last=False)
        c2, c3, c4, c5 = (info["num_chs"] for info in network.feature_info[1:])
        self.layout = Layout(arch, "regnet", (c2, c3, c4, c5))
        self.stem: nn.Module = network.stem
        self.s1, self.s2, self.s3, self.s4 = network.s1, network.s2, network.s3, network.s4

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return C2 to C5 of (B, 3, H, W) images, at strides 4, 8, 16 and 32."""
        c2: Tensor = self.s1(self.stem(images))
        c3: Tensor = self.s2(c2)
        c4: Tensor = self.s3(c3)
        c5: Tensor = self.s4(c4)
        return [c2, c3, c4, c5]
