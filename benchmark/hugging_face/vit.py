"""ViTs, MAE's encoders and DINOv2's ViTs, with or without registers: transformers' names <-> timm's and the mm* ones.

Published files keep queries, keys and values apart, as `attention.attention.query`; transformers 5 calls them
`attention.q_proj` in memory, so that state dicts which users save have these names. Both are read, and the first
are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.backbones import vit
from benchmark.prefixed import Naming, Trunk
from pretrain.stored import Stored

if TYPE_CHECKING:
    from torch import Tensor

MODELS = {  # MAE's own class drops patches at random; its encoder is a plain ViT
    "vit": "ViTModel",
    "vit_mae": "ViTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
}
EPS = {"vit": 1e-12, "vit_mae": 1e-12, "dinov2": 1e-6, "dinov2_with_registers": 1e-6}
EPS_TRAIT = "eps"
TRAITS = ("layer_scale", EPS_TRAIT)
PARTS = ("query", "key", "value")  # in the order of timm's and mm*'s joint tensors

_BLOCK = re.compile(r"(?:encoder\.layers?|layers)\.(\d+)\.(.+)")
_ATTENTION = {f"attention.attention.{part}": f"attn.{part}" for part in PARTS} | {"attention.output.dense": "attn.proj"}
_OF_VIT = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
_OF_DINOV2 = {
    **{name: name for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")},
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
_IN_MEMORY = {f"attention.{part[0]}_proj": f"attn.{part}" for part in PARTS} | {"attention.o_proj": "attn.proj"}
_IN_BLOCK = {**_ATTENTION, **_OF_VIT, **_OF_DINOV2, **_IN_MEMORY}
_OUTSIDE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm": "norm",
}
_PART = re.compile(r"(.+\.attn\.)(query|key|value)(\..+)")


def rename(name: str) -> str:
    """Return timm's name; a query's is blocks.3.attn.query.bias."""
    block = _BLOCK.fullmatch(name)
    table, plain = (_IN_BLOCK, block[2]) if block else (_OUTSIDE, name)
    stem, dot, last = plain.rpartition(".")
    renamed = table.get(plain) or (table.get(stem, stem) + dot + last)
    return f"blocks.{block[1]}.{renamed}" if block else renamed


def joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put queries, keys and values together where all three are there and alike: (D, D) each to (3 D, D)."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        part = _PART.fullmatch(name)
        three = [tensors.get(f"{part[1]}{one}{part[3]}") for one in PARTS] if part else [None]
        shapes = {None if one is None else (tuple(one.shape), one.dtype) for one in three}
        if part is None or len(shapes) > 1 or not tensor.dim():
            found[name] = tensor
        elif part[2] == PARTS[0]:
            found[f"{part[1]}qkv{part[3]}"] = _stacked(three)
    return found


def _stacked(three: list[Any]) -> Any:
    first = three[0]
    if isinstance(first, Stored):  # only described: no number is read
        shape = (3 * first.shape[0], *first.shape[1:])
        return Stored(shape, first.dtype, first.strides, first.data, first.offset)
    import torch

    return torch.cat(three)


NAMING = Naming(
    "transformers",
    tuple(Trunk("backbone", (), prefix) for prefix in ("vit.", "dinov2.", "dinov2_with_registers.", "")),
    heads=("classifier.", "pooler.", "embeddings.mask_token"),
    beside=("classifier.", "decoder."),
    rename=rename,
    join=joined,
    landmark="embeddings.patch_embeddings.projection.weight",
)


def kind(tensors: Mapping[str, Tensor]) -> str:
    """Return the `model_type` that plain names show."""
    if "reg_token" in tensors:
        return "dinov2_with_registers"
    return "dinov2" if "blocks.0.ls1.gamma" in tensors else "vit"


def settings(kind: str, arch: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration under transformers' names, for images of the size of the position embeddings."""
    width, depth, heads, patch = vit.shape_of(arch)
    size = vit.image_size(arch, state)
    found = {
        "architectures": [MODELS[kind]],
        "num_channels": 3,
        "image_size": size[0] if size else None,
        "patch_size": patch,
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "hidden_act": "gelu",
        "qkv_bias": True,
    }
    if not kind.startswith("dinov2"):
        return {**found, "intermediate_size": 4 * width}
    registers = vit.traits(state).get("registers")
    tokens = {} if registers is None else {"num_register_tokens": registers}
    return {**found, "mlp_ratio": 4, "use_swiglu_ffn": False, **tokens}


def published(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return an mm* trunk's tensors under the names of transformers' files, queries, keys and values apart."""
    inside = _ATTENTION | (_OF_DINOV2 if kind.startswith("dinov2") else _OF_VIT)
    depth = len({name.split(".")[1] for name in state if name.startswith("layers.")})
    places = [*_OUTSIDE, *(f"encoder.layer.{number}.{place}" for number in range(depth) for place in inside)]
    found: dict[str, Tensor] = {}
    for place in places:
        for end in ("", ".weight", ".bias"):
            plain = rename(place + end)
            part = _PART.fullmatch(plain)
            ours = vit.rename(f"{part[1]}qkv{part[3]}" if part else plain)
            if ours in state:
                whole = state[ours]
                found[place + end] = whole.chunk(3)[PARTS.index(part[2])].contiguous() if part else whole
    return found


def stage_maps(network: Any, images: Tensor) -> list[Tensor]:
    """Run transformers' modules; the position embeddings are interpolated by our method (registers' are smoothed)."""
    import torch

    from pretrain.backbones.vit import quarters, resize_positions

    embeddings, layers = network.embeddings, getattr(network, "layers", None) or network.encoder.layer
    x = embeddings.patch_embeddings.projection(images)  # (B, D, h, w)
    grid = x.shape[-2:]
    side = round((embeddings.position_embeddings.shape[1] - 1) ** 0.5)
    positions = resize_positions(embeddings.position_embeddings, (side, side), tuple(grid))
    x = torch.cat([embeddings.cls_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + positions
    registers = getattr(embeddings, "register_tokens", None)
    if registers is not None:
        x = torch.cat([x[:, :1], registers.expand(len(x), -1, -1), x[:, 1:]], dim=1)
    return quarters(x, layers, network.layernorm, tuple(grid), first=x.shape[1] - grid.numel())
