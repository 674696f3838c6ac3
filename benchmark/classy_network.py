"""ClassyVision's RegNetY in plain torch, as VISSL keeps it: what the numbers of a SEER file belong to.

Written from ClassyVision's definition (facebookresearch/ClassyVision, `classy_vision/models/anynet.py`), apart from
what the conversion builds, so that the two can be compared. Names are those of VISSL's trunk, after `_feature_blocks.`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5  # ClassyVision's default, which SEER keeps
STAGES = ("res2", "res3", "res4", "res5")


def _conv(weight: Tensor, inputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution of so many inputs whose weight has this shape, (O, I / groups, k, k)."""
    outputs, each, kernel, _ = weight.shape
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=inputs // each, bias=False)


def _conv_norm(weight: Tensor, inputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(weight, inputs, stride), nn.BatchNorm2d(len(weight), eps=EPS), nn.ReLU())


class _Excitation(nn.Module):
    """Squeeze-and-excitation: channels are weighed by what their means say."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.excitation = nn.Sequential(
            nn.Conv2d(width, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, width, 1), nn.Sigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        weighed: Tensor = maps * self.excitation(maps.mean(dim=(2, 3), keepdim=True))
        return weighed


class _Block(nn.Module):
    """A bottleneck as wide as its outputs; the 3x3 convolution is grouped and has the stride."""

    def __init__(self, tensors: Mapping[str, Tensor], stride: int) -> None:
        super().__init__()
        first, inner = tensors["f.a.0.weight"], tensors["f.b.0.weight"]
        inputs, width = first.shape[1], first.shape[0]
        self.f = nn.Sequential(
            OrderedDict(
                a=_conv_norm(first, inputs),
                b=_conv_norm(inner, width, stride),
                se=_Excitation(width, len(tensors["f.se.excitation.0.weight"])),
                c=_conv(tensors["f.c.weight"], width),
                final_bn=nn.BatchNorm2d(width, eps=EPS),
            )
        )
        self.projects = "proj.weight" in tensors
        if self.projects:
            self.proj = _conv(tensors["proj.weight"], inputs, stride)
            self.bn = nn.BatchNorm2d(width, eps=EPS)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu((self.bn(self.proj(maps)) if self.projects else maps) + self.f(maps))


class ClassyRegNet(nn.Module):
    """A RegNetY without pooling and classifier.

    Args:
        tensors: What it is to hold, under VISSL's names; their shapes tell its own.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.conv1 = nn.ModuleDict({"stem": _conv_norm(tensors["conv1.stem.0.weight"], inputs=3, stride=2)})
        for number, stage in enumerate(STAGES, start=1):
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            while inside := _inside(tensors, f"{stage}.block{number}-{len(blocks)}."):
                blocks[f"block{number}-{len(blocks)}"] = _Block(inside, stride=1 if blocks else 2)
            self.add_module(stage, nn.Sequential(blocks))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C5, H / 32, W / 32)."""
        maps: Tensor = self.conv1["stem"](images)
        for stage in STAGES:
            maps = self.get_submodule(stage)(maps)
        return maps


def _inside(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
