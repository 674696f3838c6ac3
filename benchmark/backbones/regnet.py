"""RegNetYs (Radosavovic et al. 2020, arXiv 2003.13678): torchvision's and VISSL's names -> timm's, which mm* get.

mm* have RegNetX alone, without squeeze-and-excitation; `benchmark.trunks.regnet` takes timm's network there.
VISSL's names are those of SEER's files: its trunk (facebookresearch/vissl, `vissl/models/trunks/regnet.py`) keeps
ClassyVision's RegNet (facebookresearch/ClassyVision, `classy_vision/models/anynet.py`) as `conv1`, `res2` to `res5`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.family import Family
from pretrain.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

_SHAPES = {  # blocks and channels of the four stages
    "regnety_004": ((1, 3, 6, 6), (48, 104, 208, 440)),
    "regnety_016": ((2, 6, 17, 2), (48, 120, 336, 888)),
    "regnety_160": ((2, 4, 11, 1), (224, 448, 1232, 3024)),
    "regnety_320": ((2, 5, 12, 1), (232, 696, 1392, 3712)),
    "regnety_640": ((2, 5, 12, 1), (328, 984, 1968, 4920)),
    "regnety_1280": ((2, 7, 17, 1), (528, 1056, 2904, 7392)),
    "regnety_2560": ((2, 7, 17, 1), (746, 1492, 4103, 10444)),
}
ARCHS = tuple(_SHAPES)
LANDMARKS = {"stem.conv.weight": "timm", "stem.0.weight": "torchvision", "conv1.stem.0.weight": "vissl"}

_BLOCK = re.compile(r"(?:trunk_output\.block|res)\d\.block(\d)-(\d+)\.(.+)")
_STEM = re.compile(r"(?:conv1\.)?stem\.([01])\.(\w+)")
_WIDTH = "s{}.b1.conv1.conv.weight"
_OUTPUT_STRIDES: dict[tuple[int, ...], int] = {  # of the stages' strides and dilations
    (1, 2, 2, 2, 1, 1, 1, 1): 32,
    (1, 2, 2, 1, 1, 1, 1, 2): 16,
    (1, 2, 1, 1, 1, 1, 2, 4): 8,
}
_IN_BLOCK = {
    "f.a.0": "conv1.conv",
    "f.a.1": "conv1.bn",
    "f.b.0": "conv2.conv",
    "f.b.1": "conv2.bn",
    # torchvision's
    "f.se.fc1": "se.fc1",
    "f.se.fc2": "se.fc2",
    "f.c.0": "conv3.conv",
    "f.c.1": "conv3.bn",
    "proj.0": "downsample.conv",
    "proj.1": "downsample.bn",
    # VISSL's
    "f.se.excitation.0": "se.fc1",
    "f.se.excitation.2": "se.fc2",
    "f.c": "conv3.conv",
    "f.final_bn": "conv3.bn",
    "proj": "downsample.conv",
    "bn": "downsample.bn",
}


def rename(name: str) -> str:
    """Return timm's name: block2-0 is s2.b1."""
    if stem := _STEM.fullmatch(name):
        return f"stem.{('conv', 'bn')[int(stem[1])]}.{stem[2]}"
    if (block := _BLOCK.fullmatch(name)) is None:
        return name
    place, _, last = block[3].rpartition(".")
    return f"s{block[1]}.b{int(block[2]) + 1}.{_IN_BLOCK.get(place, place)}.{last}"


def channels(arch: str) -> tuple[int, int, int, int]:
    """Return the channels of C2 to C5."""
    return _SHAPES[arch][1]


def config(
    arch: str,
    *,
    size: tuple[int, int] | None = None,
    out_indices: tuple[int, ...] = (0, 1, 2, 3),
    strides: Sequence[int] = (1, 2, 2, 2),
    dilations: Sequence[int] = (1, 1, 1, 1),
    contract_dilation: bool = False,
    norm_cfg: Mapping[str, Any] | None = None,
    norm_eval: bool = False,
) -> dict[str, Any]:
    """Return the mm* backbone: `RegNetY`, all four stages, as a protocol asks for a ResNet.

    Args:
        arch: One of `ARCHS`.
        size: Makes no difference.
        out_indices: Which of the four maps.
        strides: Of a ResNet's stages, after a stem of stride 4. Here, the stem has stride 2 and the first stage 2.
        dilations: Of the stages: where a stride is left out, the stage is dilated.
        contract_dilation: A dilated stage begins with half its dilation; timm's RegNets always do.
        norm_cfg: The kind of batch norm.
        norm_eval: Keep the running statistics fixed.

    Raises:
        UsageError: Strides and dilations are not those of an output stride of 8, 16 or 32.
    """
    stride = _OUTPUT_STRIDES.get((*strides, *dilations))
    if stride is None or (stride < 32 and not contract_dilation):
        raise UsageError(
            f"{arch} cannot have strides {tuple(strides)} with dilations {tuple(dilations)} and contract_dilation "
            f"{contract_dilation}.",
            "It can leave out the stride of its last stage or its last two, with contracted dilations 2, or 2 and 4.",
        )
    return {
        "type": "RegNetY",
        "arch": arch,
        "output_stride": stride,
        "out_indices": tuple(out_indices),
        "norm_cfg": dict(norm_cfg or {"type": "BN", "requires_grad": True}),
        "norm_eval": norm_eval,
    }


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from plain names and shapes: the blocks of each stage, and their width."""
    if not any(name in tensors for name in LANDMARKS):
        return None
    named = {rename(name): tensor for name, tensor in tensors.items()}
    places = {tuple(name.split(".")[:2]) for name in named if ".se.fc" in name}
    counts = Counter(stage for stage, _ in places)
    widths = [named[_WIDTH.format(stage)].shape for stage in range(1, 5) if _WIDTH.format(stage) in named]
    found = (tuple(counts[f"s{stage}"] for stage in range(1, 5)), tuple(shape[0] for shape in widths if len(shape)))
    return next((arch for arch in ARCHS if _SHAPES[arch] == found), None)


FAMILY = Family(
    name="regnet",
    archs=ARCHS,
    landmarks=LANDMARKS,
    stages=("C2", "C3", "C4", "C5"),
    registers=("benchmark.trunks.regnet",),
    init="kaiming_fan_out",
    rename=rename,
    identify=identify,
    config=config,
    channels=channels,
    heads=("head.fc.", "fc."),
    dilates=True,
)
