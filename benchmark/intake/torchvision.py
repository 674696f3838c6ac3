"""Torchvision's names: a plain state dict, alone or under `state_dict` or `model`, with or without `fc`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark import backbones
from benchmark.intake import no_format, single
from benchmark.library import network_of, torchvision_name
from benchmark.source import Source, fill_counters, open_state_dict
from pretrain.errors import DensebenchError

CONTAINERS = ("state_dict", "model")
LANDMARKS = ("conv1.weight", "conv_proj.weight", "features.0.0.weight")  # of a ResNet, a ViT, a ConvNeXt

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
        raise DensebenchError(
            f"{path} has torchvision's names, but its blocks are those of no architecture that is served.",
            f"Served: {', '.join(backbones.names())}.",
        )

    heads = backbones.family(arch).HEADS
    network, stage_maps = network_of(arch, tensors, library="torchvision")
    return Source(
        format="torchvision",
        arch=arch,
        tensors={name: tensor for name, tensor in tensors.items() if not name.startswith(heads)},
        dropped=[state.prefix + name for name in tensors if name.startswith(heads)] + state.beside,
        network=network,
        stage_maps=stage_maps,
        notes=notes,
    )


def published(arch: str) -> dict[str, str]:
    """Return torchvision's published files of an architecture: first 8 digits of the sha256 -> name."""
    import torchvision

    if (name := torchvision_name(arch)) is None:
        return {}
    urls = [weights.url for weights in torchvision.models.get_model_weights(name)]
    stems = [url.rpartition("/")[2].removesuffix(".pth") for url in urls]
    stems += [stem for stem in _FORMER if stem.startswith(f"{arch}-")]
    return {stem.rpartition("-")[2]: f"{stem}.pth" for stem in stems}
