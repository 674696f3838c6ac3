"""Torchvision's names: a plain state dict, alone or under `state_dict` or `model`, with or without `fc`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark import backbones, unserved
from benchmark.intake import no_format, single
from benchmark.source import NO_WEIGHT, Source, built_by, fill_counters, open_state_dict

CONTAINERS = ("state_dict", "model")
# of a ResNet, a ViT, a ConvNeXt, a RegNetY (whose stem is called as that of timm's ConvNeXt)
LANDMARKS = ("conv1.weight", "conv_proj.weight", "features.0.0.weight", "trunk_output.block1.block1-0.f.a.0.weight")

NAMES = {  # torchvision's, where they are others
    "vit_base_patch16": "vit_b_16",
    "vit_large_patch16": "vit_l_16",
    "regnety_004": "regnet_y_400mf",
    "regnety_016": "regnet_y_1_6gf",
    "regnety_160": "regnet_y_16gf",
    "regnety_320": "regnet_y_32gf",
    "regnety_1280": "regnet_y_128gf",
}

# Files that torchvision published before it had weight enums.
_FORMER = (
    "resnet18-5c106cde",
    "resnet34-333f7ec4",
    "resnet50-19c8e357",
    "resnet101-5d3b4d8f",
    "resnet152-b121ed2d",
)


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell whether the plain names stand where torchvision's files have them."""
    return open_state_dict(tree, CONTAINERS, LANDMARKS) is not None


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read a state dict with torchvision's names.

    Raises:
        DensebenchError: The names are others, or the architecture is none of ours.
        UsageError: One of several networks is wanted.
    """
    single(path, wanted)
    state = open_state_dict(tree, CONTAINERS, LANDMARKS)
    if state is None:
        raise no_format(path, tree)
    tensors, notes = fill_counters(state.tensors)
    arch = backbones.identify(tensors)
    if arch is None:
        raise unserved.refusal(f"{path} has torchvision's names, but", tensors)

    heads = backbones.family(arch).heads
    left_out = [state.prefix + name for name in tensors if name.startswith(heads)]
    landmark = next(name for name in LANDMARKS if name in tensors)
    network, stage_maps = built_by("torchvision", arch, tensors)
    return Source(
        format="torchvision",
        arch=arch,
        tensors={name: tensor for name, tensor in tensors.items() if not name.startswith(heads)},
        dropped={**dict.fromkeys(left_out, "the classifier"), **dict.fromkeys(state.beside, NO_WEIGHT)},
        network=network,
        stage_maps=stage_maps,
        notes=notes,
        evidence=f"'{state.prefix}{landmark}' stands where torchvision's files have it",
    )


def published(arch: str) -> dict[str, str]:
    """Return torchvision's published files of an architecture: first 8 digits of the sha256 -> name."""
    import torchvision

    if (name := NAMES.get(arch, arch)) not in torchvision.models.list_models():
        return {}
    urls = [weights.url for weights in torchvision.models.get_model_weights(name)]
    stems = [url.rpartition("/")[2].removesuffix(".pth") for url in urls]
    stems += [stem for stem in _FORMER if stem.startswith(f"{arch}-")]
    return {stem.rpartition("-")[2]: f"{stem}.pth" for stem in stems}
