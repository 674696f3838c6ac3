"""ConvNeXts as their authors name them (facebookresearch/ConvNeXt); VICRegL's, whole or the backbone alone, too."""

from __future__ import annotations

import re

from benchmark.prefixed import Naming, Trunk

_BLOCK = re.compile(r"stages\.(\d)\.(\d+)\.(\w+)(.*)")
_DOWNSAMPLE = re.compile(r"downsample_layers\.(\d)\.(.+)")
_LAYERS = {"dwconv": "conv_dw", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}


def rename(name: str) -> str:
    """Return timm's name: stages.2.7.pwconv1.bias is stages.2.blocks.7.mlp.fc1.bias."""
    if block := _BLOCK.fullmatch(name):
        return f"stages.{block[1]}.blocks.{block[2]}.{_LAYERS.get(block[3], block[3])}{block[4]}"
    if place := _DOWNSAMPLE.fullmatch(name):
        return f"stem.{place[2]}" if place[1] == "0" else f"stages.{place[1]}.downsample.{place[2]}"
    if name.startswith("norm."):
        return f"head.{name}"
    return name.replace("head.", "head.fc.", 1) if name.startswith("head.") else name


NAMING = Naming(
    "convnext",
    (
        Trunk("backbone", ("model",), "module.backbone."),
        Trunk("backbone", ("model",), ""),
        Trunk("backbone", ("state_dict",), ""),
        Trunk("backbone", (), ""),
    ),
    heads=("head.weight", "head.bias"),
    beside=("module.projector.", "module.maps_projector.", "module.classifier.", "module.maps_classifier."),
    rename=rename,
    landmark="downsample_layers.0.0.weight",
)

matches, read = NAMING.matches, NAMING.read
