"""Maps of several levels in one width: the feature pyramid's top-down path, and plain convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = ("c2", "c3", "c4", "c5")


class Pyramid(nn.Module):
    """Add every coarser map, enlarged, to the finer one, all projected to one width, from C5 down.

    Lin et al. 2017, arXiv 1612.03144, Section 3.

    Args:
        channels: Channels of C2 to C5.
        width: Channels of the pyramid's maps.
        levels: The maps that are wanted, such as ("c4", "c3").
    """

    def __init__(self, channels: Sequence[int], width: int, levels: Sequence[str]) -> None:
        super().__init__()
        finest = min(LEVELS.index(level) for level in levels)
        self.levels = tuple(levels)
        self.laterals = nn.ModuleDict(
            {name: nn.Conv2d(channels[LEVELS.index(name)], width, kernel_size=1) for name in reversed(LEVELS[finest:])}
        )
        self.outputs = nn.ModuleDict({name: nn.Conv2d(width, width, kernel_size=3, padding=1) for name in levels})
        for layer in (*self.laterals.values(), *self.outputs.values()):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return the wanted maps (B, width, h, w) of the four stages' maps."""
        found: dict[str, Tensor] = {}
        above: Tensor | None = None
        for name, lateral in self.laterals.items():
            merged: Tensor = lateral(stages[LEVELS.index(name)])
            if above is not None:
                merged = merged + F.interpolate(above, size=merged.shape[2:], mode="nearest")
            if name in self.outputs:
                found[name] = self.outputs[name](merged)
            above = merged
        return [found[name] for name in self.levels]


class Straight(nn.Module):
    """One convolution on each of the backbone's maps.

    # NOTE: ReSim's released code has the pyramid only; what ReSim-C4 has instead is not published with it.

    Args:
        channels: See `Pyramid`.
        width: See `Pyramid`.
        levels: See `Pyramid`.
    """

    def __init__(self, channels: Sequence[int], width: int, levels: Sequence[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: nn.Conv2d(channels[LEVELS.index(name)], width, kernel_size=3, padding=1) for name in levels}
        )

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return the wanted maps (B, width, h, w) of the four stages' maps."""
        return [layer(stages[LEVELS.index(name)]) for name, layer in self.layers.items()]
