"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929): timm's and torchvision's names -> mmpretrain's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.family import Family, inverse, renamed

if TYPE_CHECKING:
    from torch import Tensor

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}  # D, depth, heads
ARCHS = tuple(f"vit_{size}_patch{patch}" for size in SIZES for patch in (16, 14, 8))
LANDMARKS = {"patch_embed.proj.weight": "timm", "conv_proj.weight": "torchvision"}
POSITIONS = "pos_embed"  # the mm* name
EPS = 1e-6  # of the layer norms, in timm, torchvision, DINO, MAE and DINOv2; transformers' ViTs have 1e-12
_METHOD = "bicubic, without antialiasing"

_FOREIGN = re.compile(r"\.(relative_position_bias|w12|weights_in|gate_proj)")  # of BEiT, of gated perceptrons
_BLOCK = re.compile(r"(?:blocks\.|encoder\.layers\.encoder_layer_)(\d+)\.(.+)")
_MM_BLOCK = re.compile(r"layers\.(\d+)\.(.+)")
_TIMM_IN_BLOCK = {
    "norm1": "ln1",
    "norm2": "ln2",
    "mlp.fc1": "ffn.layers.0.0",
    "mlp.fc2": "ffn.layers.1",
    "ls1.gamma": "attn.gamma1.weight",
    "ls2.gamma": "ffn.gamma2.weight",
}
_IN_BLOCK = {
    **_TIMM_IN_BLOCK,
    # torchvision's
    "ln_1": "ln1",
    "ln_2": "ln2",
    "self_attention.in_proj_weight": "attn.qkv.weight",
    "self_attention.in_proj_bias": "attn.qkv.bias",
    "self_attention.out_proj": "attn.proj",
    "mlp.0": "ffn.layers.0.0",
    "mlp.3": "ffn.layers.1",
}
_TIMM_OUTSIDE = {
    "patch_embed.proj": "patch_embed.projection",
    "norm": "ln1",
    "reg_token": "pre_norm.tokens",
}
_OUTSIDE = {
    **_TIMM_OUTSIDE,
    # torchvision's
    "class_token": "cls_token",
    "encoder.pos_embedding": POSITIONS,
    "conv_proj": "patch_embed.projection",
    "encoder.ln": "ln1",
}


def rename(name: str) -> str:
    """Return mmpretrain's name of a plain timm or torchvision name; queries, keys and values stand alike in all."""
    block = _BLOCK.fullmatch(name)
    return f"layers.{block[1]}.{renamed(block[2], _IN_BLOCK)}" if block else renamed(name, _OUTSIDE)


def plain(name: str) -> str:
    """Return timm's name of an mm* name."""
    block = _MM_BLOCK.fullmatch(name)
    if block:
        return f"blocks.{block[1]}.{renamed(block[2], inverse(_TIMM_IN_BLOCK))}"
    return renamed(name, inverse(_TIMM_OUTSIDE))


def shape_of(arch: str) -> tuple[int, int, int, int]:
    """Return an architecture's width D, depth, heads and patch side in pixels."""
    _, size, patch = arch.split("_")
    return (*SIZES[size], int(patch.removeprefix("patch")))


def channels(arch: str) -> tuple[int, int, int, int]:
    """Return the channels of the four maps: the width, four times."""
    return (shape_of(arch)[0],) * 4


def strides(arch: str) -> tuple[int, int, int, int]:
    """Return the strides of the four maps: the patch, four times."""
    return (shape_of(arch)[3],) * 4


def config(
    arch: str,
    *,
    size: tuple[int, int] | None = None,
    layer_scale: bool = False,
    registers: int = 0,
    eps: float = EPS,
    out_indices: tuple[int, ...] = (0, 1, 2, 3),
    **of_resnets: Any,
) -> dict[str, Any]:
    """Return the mm* backbone: mmpretrain's `VisionTransformer`, fitted to images of any size.

    NOTE: what protocols say of a ResNet's strides, dilations and batch norms has no meaning here: all four maps
    have the patch's stride, and the final norm acts on the last one only. mmseg's own ViT has another eps, 1e-5.

    Args:
        arch: One of `ARCHS`.
        size: Height and width in pixels that the position embeddings belong to; None for 224 x 224.
        layer_scale: Blocks scale their branches, as DINOv2's do.
        registers: Tokens beside the class token, without positions (Darcet et al. 2024, arXiv 2309.16588).
        eps: Of the layer norms.
        out_indices: Which of the four maps.
        of_resnets: What a protocol asks of a ResNet, without effect.
    """
    width, depth, heads, patch = shape_of(arch)
    height, across = size or (224, 224)
    return {
        "type": "FittedViT",
        "arch": {"embed_dims": width, "num_layers": depth, "num_heads": heads, "feedforward_channels": 4 * width},
        "img_size": (math.ceil(height / patch) * patch, math.ceil(across / patch) * patch),
        "patch_size": patch,
        "out_indices": [(index + 1) * depth // 4 - 1 for index in out_indices],
        "out_type": "featmap",
        "norm_cfg": {"type": "LN", "eps": eps},
        "layer_scale_init_value": 1.0 if layer_scale else 0.0,
        "registers": registers,
        "init_cfg": None,
    }


def traits(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell layer scales and register tokens, such as DINOv2's."""
    named = {rename(name): tensor for name, tensor in tensors.items()}
    found: dict[str, Any] = {"layer_scale": True} if "layers.0.attn.gamma1.weight" in named else {}
    registers = named.get("pre_norm.tokens")
    return found if registers is None or registers.dim() != 3 else {**found, "registers": registers.shape[1]}


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from plain names and shapes: the patch embedding's, and the number of blocks."""
    first = next((tensors[name] for name in LANDMARKS if name in tensors), None)
    if first is None or first.dim() != 4 or any(map(_FOREIGN.search, tensors)):
        return None
    depth = len({match[1] for match in map(_BLOCK.fullmatch, tensors) if match})
    found = (first.shape[0], depth, first.shape[3])
    return next((arch for arch in ARCHS if (*shape_of(arch)[:2], shape_of(arch)[3]) == found), None)


def image_size(arch: str, tensors: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return the size in pixels of the square images that the position embeddings (1, 1 + N, D) belong to.

    Args:
        arch: One of `ARCHS`.
        tensors: Under mm* names. None is returned where they lack position embeddings of a square grid.
    """
    positions = tensors.get(POSITIONS)
    if positions is None or positions.dim() != 3:
        return None
    side, patch = math.isqrt(max(positions.shape[1] - 1, 0)), shape_of(arch)[3]
    return (side * patch, side * patch) if side and side * side == positions.shape[1] - 1 else None


def resized(arch: str, tensors: Mapping[str, Tensor], size: tuple[int, int]) -> tuple[dict[str, Tensor], str]:
    """Interpolate the position embeddings to images of another size.

    Args:
        arch: One of `ARCHS`.
        tensors: Under mm* names.
        size: Height and width in pixels; a patch that is cut by the border counts as whole.

    Returns:
        The tensors, and what was done, for the certificate.
    """
    from pretrain.backbones.vit import resize_positions

    patch, native = shape_of(arch)[3], image_size(arch, tensors)
    assert native is not None
    old, new = (tuple(math.ceil(side / patch) for side in one) for one in (native, size))
    positions = resize_positions(tensors[POSITIONS], (old[0], old[1]), (new[0], new[1]))
    how = f"{old[0]}x{old[1]} -> {new[0]}x{new[1]}, {_METHOD}" if old != new else f"{old[0]}x{old[1]}, as they are"
    return {**tensors, POSITIONS: positions}, how


FAMILY = Family(
    name="vit",
    archs=ARCHS,
    landmarks=LANDMARKS,
    stages=("1/4", "2/4", "3/4", "4/4"),  # the share of the blocks that are passed
    registers=("benchmark.trunks.vit",),
    init="trunc_normal",
    rename=rename,
    identify=identify,
    config=config,
    channels=channels,
    plain=plain,
    strides=strides,
    heads=("head.weight", "head.bias", "heads.head."),
    traits=traits,
    image_size=image_size,
    resized=resized,
    eps=EPS,
)
