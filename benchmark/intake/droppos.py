"""DropPos's checkpoints (Haochen-Wang409/DropPos), saved from inside or outside of the distributed wrapper.

Their `model` is a string, the architecture's name in that code base; the tensors stand under `state_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "droppos",
    (Trunk("encoder", ("state_dict",), "module."), Trunk("encoder", ("state_dict",), "")),
    heads=("decoder_", "aux_decoder_", "mask_token", "mask_pos_token"),
    landmark="patch_embed.proj.weight",
)
REFINES = ("timm",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by the string and a ViT's plain names."""
    return isinstance(tree.get("model"), str) and NAMING.matches(tree, metadata)
