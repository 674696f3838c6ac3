"""What mm* lack: a RegNetY, with squeeze-and-excitation; timm's, kept as an mm* backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mmengine.registry
import timm
from mmengine.model import BaseModule
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


@mmengine.registry.MODELS.register_module()
class RegNetY(BaseModule):
    """timm's RegNetY without its classifier; parameters have timm's names.

    Args:
        arch: One of `benchmark.backbones.regnet.ARCHS`.
        output_stride: The last map's, 8, 16 or 32; stages whose strides are left out are dilated.
        out_indices: Which of the four maps.
        norm_cfg: mm*'s; its `type` is "BN" or "SyncBN".
        norm_eval: Keep the running statistics fixed in training.
    """

    def __init__(
        self,
        arch: str,
        *,
        output_stride: int,
        out_indices: Sequence[int],
        norm_cfg: Mapping[str, Any],
        norm_eval: bool,
    ) -> None:
        super().__init__()
        network: Any = timm.create_model(
            arch, pretrained=False, num_classes=0, output_stride=output_stride, zero_init_last=False
        )
        if norm_cfg["type"] == "SyncBN":
            network = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.stem = network.stem
        self.s1, self.s2, self.s3, self.s4 = network.s1, network.s2, network.s3, network.s4
        self.out_indices = tuple(out_indices)
        self.norm_eval = norm_eval
        for norm in self._norms():
            norm.requires_grad_(norm_cfg.get("requires_grad", True))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted maps of (B, 3, H, W) images, finest first."""
        x, maps = self.stem(images), []
        for stage in (self.s1, self.s2, self.s3, self.s4):
            x = stage(x)
            maps.append(x)
        return tuple(maps[index] for index in self.out_indices)

    def train(self, mode: bool = True) -> RegNetY:
        """Set the mode; with `norm_eval`, batch norms stay in eval."""
        super().train(mode)
        if self.norm_eval:
            for norm in self._norms():
                norm.eval()
        return self

    def _norms(self) -> list[_BatchNorm]:
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]
