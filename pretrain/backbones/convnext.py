"""ConvNeXts (Liu et al. 2022, arXiv 2201.03545), as timm builds them."""

from __future__ import annotations

from typing import Any

import timm
from timm.layers.drop import DropPath
from torch import Tensor, nn

from pretrain.backbone import Backbone, Layout

ARCHS = ("convnext_tiny", "convnext_small", "convnext_base")


class ConvNeXt(Backbone):
    """A ConvNeXt without its classifier; parameters have timm's names.

    The final norm, `head.norm`, acts on every location of the last map, as in VICRegL (arXiv 2210.01571).
    # NOTE: layer scales start at 1, not at the paper's 1e-6: a network whose branches are silent would look the same
    whatever their weights are. VICRegL trains without layer scales, which at the start is the same.

    Args:
        arch: One of `ARCHS`.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        network: Any = timm.create_model(arch, pretrained=False, num_classes=0, ls_init_value=1.0)
        c2, c3, c4, c5 = (info["num_chs"] for info in network.feature_info)
        self.layout = Layout(arch, "convnext", (c2, c3, c4, c5))
        self.stem: nn.Module = network.stem
        self._modules["stages"] = network.stages  # timm's name, under which the method `stages` stands before it
        self.head = nn.ModuleDict({"norm": network.head.norm})

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the four stages' maps of (B, 3, H, W) images, at strides 4, 8, 16 and 32; the last final-normed."""
        x, maps = self.stem(images), []
        for stage in self._stages():
            x = stage(x)
            maps.append(x)
        return [*maps[:3], self.head["norm"](x)]

    def drop_path(self, rate: float) -> None:
        """Skip residual branches at random in training, the last block's with this rate, the first's never.

        Stochastic depth (Huang et al. 2016, arXiv 1603.09382), with rates that grow linearly.
        """
        blocks = [block for stage in self._stages() for block in stage.blocks]
        for number, block in enumerate(blocks):
            block.drop_path = DropPath(rate * number / (len(blocks) - 1))

    def _stages(self) -> Any:
        return self._modules["stages"]
