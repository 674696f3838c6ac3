"""ResNets (He et al. 2016, arXiv 1512.03385): torchvision's and timm's names -> the plain mm* `ResNet`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.family import Family

if TYPE_CHECKING:
    from torch import Tensor

_BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
    "resnet200": (3, 24, 36, 3),
}
_BASIC = ("resnet18", "resnet34")  # two 3x3 convolutions a block; the others have bottlenecks
_SECOND = "layer{}.{}.conv2.weight"  # in both kinds of blocks, of the stage's width: 64, 128, 256, 512
_IN_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(.+)")

ARCHS = (*_BLOCKS, *(f"{arch}x{times}" for arch in _BLOCKS if arch not in _BASIC for times in (2, 4)))


def blocks(arch: str) -> tuple[int, int, int, int]:
    """Return the number of residual blocks of the four stages."""
    return _BLOCKS[arch.partition("x")[0]]


def width(arch: str) -> int:
    """Return the factor on every channel count: 2 for resnet50x2, as SimCLR and BYOL name it."""
    return int(arch.partition("x")[2] or 1)


def channels(arch: str) -> tuple[int, int, int, int]:
    """Return the channels of C2 to C5, the maps at strides 4, 8, 16 and 32."""
    c2 = 64 if arch in _BASIC else 256 * width(arch)
    return (c2, 2 * c2, 4 * c2, 8 * c2)


def values(arch: str) -> dict[str, Any]:
    """Return `$depth`: 50, or "50x2" of a wide one."""
    depth = arch.removeprefix("resnet")
    return {"depth": int(depth) if depth.isdigit() else depth}


def rename(name: str) -> str:
    """Return the mm* name of a plain torchvision or timm name: for this family they are the same."""
    return name


def config(arch: str, *, size: tuple[int, int] | None = None, padding: str = "", **overrides: Any) -> dict[str, Any]:
    """Return the mm* backbone, all four stages, for mmdet as for mmseg.

    Args:
        arch: One of `ARCHS`.
        size: Makes no difference.
        padding: "same" for a network that pads as TensorFlow does (`benchmark.trunks.same_padding`).
        overrides: The protocol's own options.

    NOTE: `ResNet`, not the `ResNetV1c` (another stem) of mmseg's stock FCN files; `style="pytorch"` puts the
    stride on the 3x3 convolution, as torchvision and timm do. mm* know no depth 200: `DeepResNet` is ours.
    """
    depth, stem = int(arch.partition("x")[0].removeprefix("resnet")), 64 * width(arch)
    return {
        "type": "SamePaddedResNet" if padding == "same" else "ResNet" if depth < 200 else "DeepResNet",
        "depth": depth,
        **({"stem_channels": stem, "base_channels": stem} if stem > 64 else {}),
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "style": "pytorch",
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": False,
        "zero_init_residual": False,
        "init_cfg": None,
        **overrides,
    }


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from plain names and shapes: blocks of each stage, their kind, their width.

    A tensor too many or too few does not mislead: a block counts when it has three tensors, and most of the
    blocks decide on their kind and width.
    """
    if "conv1.weight" not in tensors:
        return None
    layers = defaultdict(set)  # (stage, block) -> its tensors
    for match in filter(None, map(_IN_BLOCK.match, tensors)):
        layers[int(match[1]), int(match[2])].add(match[3])
    whole = {place: names for place, names in layers.items() if len(names) >= 3}
    counts = Counter(stage for stage, _ in whole)
    bottlenecks = sum("conv3.weight" in names for names in whole.values())
    shapes = {place: tensors[_SECOND.format(*place)].shape for place in whole if _SECOND.format(*place) in tensors}
    seen = Counter(shape[0] / (32 << stage) for (stage, _), shape in shapes.items() if len(shape))
    times, count = seen.most_common(1)[0] if seen else (0, 0)
    if 2 * count <= len(shapes) or (times > 1 and tuple(tensors["conv1.weight"].shape[:1]) != (64 * times,)):
        return None  # with grouped convolutions, say, or with blocks alone that are wide
    found = (tuple(counts[stage] for stage in (1, 2, 3, 4)), 2 * bottlenecks < len(whole), times)
    return next((arch for arch in ARCHS if (blocks(arch), arch in _BASIC, width(arch)) == found), None)


FAMILY = Family(
    name="resnet",
    archs=ARCHS,
    landmarks={"conv1.weight": "torchvision"},
    stages=("C2", "C3", "C4", "C5"),
    registers=("benchmark.trunks.deep", "benchmark.trunks.same_padding"),
    init="kaiming_fan_out",
    rename=rename,
    identify=identify,
    config=config,
    channels=channels,
    heads=("fc.weight", "fc.bias"),
    values=values,
    cuts=True,
    dilates=True,
)
