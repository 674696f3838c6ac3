"""MAE's whole checkpoints (facebookresearch/mae), with their decoder; its encoder files have timm's names alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk

NAMING = Naming("mae", (Trunk("encoder", ("model",), ""),), heads=("decoder_", "mask_token"))
REFINES = ("timm",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by the decoder beside a ViT's plain names."""
    model = tree.get("model")
    return isinstance(model, Mapping) and "decoder_embed.weight" in model and NAMING.matches(tree, metadata)
