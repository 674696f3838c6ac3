"""DINOv2's backbone files (facebookresearch/dinov2), with or without registers: timm's names but for these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk


def rename(name: str) -> str:
    """Return timm's name."""
    return {"register_tokens": "reg_token"}.get(name, name)


NAMING = Naming("dinov2", (Trunk("backbone", (), ""),), heads=("mask_token",), rename=rename)
REFINES = ("timm",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by the masked patches' token beside layer scales."""
    return "mask_token" in tree and "blocks.0.ls1.gamma" in tree and NAMING.matches(tree, metadata)
