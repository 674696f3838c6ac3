"""NaViTs (Dehghani et al. 2023, arXiv 2307.06304), as this project builds them: `pretrain.backbones.navit`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.backbones.vit import SIZES
from benchmark.family import Family

if TYPE_CHECKING:
    from torch import Tensor

_PATCH = 16
ARCHS = tuple(f"navit_{size}_patch{_PATCH}" for size in SIZES)

_BLOCK = re.compile(r"blocks\.(\d+)\..+")


def rename(name: str) -> str:
    """Return the mm* name: there, the network is a part."""
    return f"encoder.{name}"


def plain(name: str) -> str:
    """Return the network's own name of an mm* name."""
    return name.removeprefix("encoder.")


def channels(arch: str) -> tuple[int, int, int, int]:
    """Return the channels of the four maps: the width, four times."""
    return (SIZES[arch.split("_")[1]][0],) * 4


def strides(arch: str) -> tuple[int, int, int, int]:
    """Return the strides of the four maps: the patch, four times."""
    return (_PATCH,) * 4


def config(
    arch: str,
    *,
    size: tuple[int, int] | None = None,
    out_indices: tuple[int, ...] = (0, 1, 2, 3),
    **of_resnets: Any,
) -> dict[str, Any]:
    """Return the mm* backbone, `PackedNaViT`.

    NOTE: what protocols say of a ResNet's strides, dilations and batch norms has no meaning here: all four maps
    have the patch's stride, and the final norm acts on the last one only.

    Args:
        arch: One of `ARCHS`.
        size: Makes no difference: a patch's row and column have their own embeddings, whatever the image's size.
        out_indices: Which of the four maps.
        of_resnets: What a protocol asks of a ResNet, without effect.
    """
    return {"type": "PackedNaViT", "arch": arch, "out_indices": tuple(out_indices)}


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from names and shapes: the patch embedding's, and the number of blocks."""
    first = tensors.get("patch_embed.weight")
    if first is None or first.dim() != 4 or first.shape[3] != _PATCH or "pos_row" not in tensors:
        return None
    found = (first.shape[0], len({match[1] for match in map(_BLOCK.fullmatch, tensors) if match}))
    return next((arch for arch in ARCHS if SIZES[arch.split("_")[1]][:2] == found), None)


FAMILY = Family(
    name="navit",
    archs=ARCHS,
    landmarks={"patch_embed.weight": "densebench"},
    stages=("1/4", "2/4", "3/4", "4/4"),  # the share of the blocks that are passed
    registers=("benchmark.trunks.navit",),
    init="trunc_normal",
    rename=rename,
    identify=identify,
    config=config,
    channels=channels,
    plain=plain,
    strides=strides,
)
