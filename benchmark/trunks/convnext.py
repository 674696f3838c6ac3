"""What mm* lack: a ConvNeXt with one final norm."""

from __future__ import annotations

from typing import Any

import mmengine.registry
from mmpretrain.models.backbones import ConvNeXt
from torch import nn


@mmengine.registry.MODELS.register_module()
class PlainConvNeXt(ConvNeXt):
    """mmpretrain's ConvNeXt whose last map alone is normed: no checkpoint has norms for the others.

    Args:
        final_eps: Of that norm.
        config: mmpretrain's arguments.
    """

    def __init__(self, final_eps: float, **config: Any) -> None:
        super().__init__(**config)
        for stage in range(3):
            self.add_module(f"norm{stage}", nn.Identity())
        self.norm3.eps = final_eps
