"""ConvNeXts (Liu et al. 2022, arXiv 2201.03545): timm's and torchvision's names -> mmpretrain's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.family import Family, inverse, renamed

if TYPE_CHECKING:
    from torch import Tensor

_SHAPES = {
    "convnext_tiny": ((3, 3, 9, 3), 96),
    "convnext_small": ((3, 3, 27, 3), 96),
    "convnext_base": ((3, 3, 27, 3), 128),
}
ARCHS = tuple(_SHAPES)
LANDMARKS = {"stem.0.weight": "timm", "features.0.0.weight": "torchvision"}
EPS = 1e-6  # of the layer norms; transformers' final one has 1e-12

_BLOCK = re.compile(r"(?:stages\.(\d)\.blocks|features\.(\d))\.(\d+)\.(.+)")
_TIMM_IN_BLOCK = {
    "conv_dw": "depthwise_conv",
    "mlp.fc1": "pointwise_conv1",
    "mlp.fc2": "pointwise_conv2",
}
_IN_BLOCK = {
    **_TIMM_IN_BLOCK,
    # torchvision's
    "layer_scale": "gamma",
    "block.0": "depthwise_conv",
    "block.2": "norm",
    "block.3": "pointwise_conv1",
    "block.5": "pointwise_conv2",
}
_FINAL_NORM = ("head.norm.", "classifier.0.")
_MM_BLOCK = re.compile(r"stages\.(\d)\.(\d+)\.(.+)")
_MM_DOWNSAMPLE = re.compile(r"downsample_layers\.(\d)\.(.+)")
_DOWNSAMPLE = re.compile(r"stages\.(\d)\.downsample\.(.+)")


def rename(name: str) -> str:
    """Return mmpretrain's name of a plain name: the final norm is the last stage's, `norm3`."""
    if (final := next((start for start in _FINAL_NORM if name.startswith(start)), None)) is not None:
        return f"norm3.{name.removeprefix(final)}"
    if name.startswith("stem."):
        return f"downsample_layers.0.{name.removeprefix('stem.')}"
    if downsample := _DOWNSAMPLE.fullmatch(name):
        return f"downsample_layers.{downsample[1]}.{downsample[2]}"
    if (block := _BLOCK.fullmatch(name)) is None:
        return name
    if block[2] is not None and int(block[2]) % 2 == 0:  # torchvision's stem and downsampling stand between the stages
        return f"downsample_layers.{int(block[2]) // 2}.{block[3]}.{block[4]}"
    stage = int(block[2]) // 2 if block[2] is not None else block[1]
    return f"stages.{stage}.{block[3]}.{renamed(block[4], _IN_BLOCK)}"


def plain(name: str) -> str:
    """Return timm's name of an mm* name."""
    if place := _MM_DOWNSAMPLE.fullmatch(name):
        return f"stem.{place[2]}" if place[1] == "0" else f"stages.{place[1]}.downsample.{place[2]}"
    if block := _MM_BLOCK.fullmatch(name):
        return f"stages.{block[1]}.blocks.{block[2]}.{renamed(block[3], inverse(_TIMM_IN_BLOCK))}"
    return name.replace("norm3.", "head.norm.", 1) if name.startswith("norm3.") else name


def depths(arch: str) -> tuple[int, ...]:
    """Return the number of blocks of the four stages."""
    return _SHAPES[arch][0]


def channels(arch: str) -> tuple[int, int, int, int]:
    """Return the channels of C2 to C5."""
    c2 = _SHAPES[arch][1]
    return (c2, 2 * c2, 4 * c2, 8 * c2)


def config(
    arch: str,
    *,
    size: tuple[int, int] | None = None,
    layer_scale: bool = True,
    final_eps: float = EPS,
    out_indices: tuple[int, ...] = (0, 1, 2, 3),
    **of_resnets: Any,
) -> dict[str, Any]:
    """Return the mm* backbone: mmpretrain's `ConvNeXt` with the checkpoint's one final norm, on every location.

    NOTE: a ConvNeXt is not dilated. Where a protocol dilates a ResNet to stride 8 (FCN-D8), the heads see maps at
    strides 16 and 32 here; its word on batch norms has no meaning either.

    Args:
        arch: One of `ARCHS`.
        size: Makes no difference.
        layer_scale: Whether blocks have one; VICRegL's have none.
        final_eps: Of the final norm.
        out_indices: Which of the four maps.
        of_resnets: What a protocol asks of a ResNet, without effect.
    """
    return {
        "type": "PlainConvNeXt",
        "arch": {"depths": list(depths(arch)), "channels": list(channels(arch))},
        "out_indices": list(out_indices),
        "gap_before_final_norm": False,
        "linear_pw_conv": True,
        "layer_scale_init_value": 1.0 if layer_scale else 0.0,
        "final_eps": final_eps,
        "init_cfg": None,
    }


def traits(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell blocks without layer scales, such as VICRegL's."""
    return {} if any(rename(name).endswith(".gamma") for name in tensors) else {"layer_scale": False}


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from plain names and shapes: the blocks of each stage, and the stem's width."""
    first = next((tensors[name] for name in LANDMARKS if name in tensors), None)
    if first is None or first.dim() != 4 or any(".grn." in name for name in tensors):  # ConvNeXt V2 has these
        return None
    places = {tuple(renamed.split(".")[1:3]) for renamed in map(rename, tensors) if renamed.startswith("stages.")}
    counts = Counter(stage for stage, _ in places)
    found = (tuple(counts[str(stage)] for stage in range(4)), first.shape[0])
    return next((arch for arch in ARCHS if _SHAPES[arch] == found), None)


FAMILY = Family(
    name="convnext",
    archs=ARCHS,
    landmarks=LANDMARKS,
    stages=("C2", "C3", "C4", "C5"),
    registers=("benchmark.trunks.convnext",),
    init="trunc_normal",
    rename=rename,
    identify=identify,
    config=config,
    channels=channels,
    plain=plain,
    heads=("head.fc.", "classifier.2."),
    traits=traits,
    eps=EPS,
)
