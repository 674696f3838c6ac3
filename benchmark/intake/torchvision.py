"""Torchvision's names: a plain state dict, alone or under `state_dict` or `model`, with or without `fc`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones
from benchmark.intake import no_format, single
from benchmark.source import Source, fill_counters, open_state_dict, outputs_of
from pretrain.errors import DensebenchError

if TYPE_CHECKING:
    from torch import nn

CONTAINERS = ("state_dict", "model")
HEAD = ("fc.weight", "fc.bias")

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
    return open_state_dict(tree, CONTAINERS, "conv1.weight") is not None


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read a state dict with torchvision's names.

    Raises:
        DensebenchError: The names are others, or the architecture is none of ours.
        UsageError: One of several networks is wanted.
    """
    single(path, wanted)
    state = open_state_dict(tree, CONTAINERS, "conv1.weight")
    if state is None:
        raise no_format(path, tree)
    tensors, notes = fill_counters(state.tensors)
    arch = backbones.identify(tensors)
    if arch is None:
        raise DensebenchError(
            f"{path} has torchvision's names, but its blocks are those of no architecture that is served.",
            f"Served: {', '.join(backbones.names())}.",
        )

    def build() -> nn.Module:
        import torchvision
        from torch import nn

        model: nn.Module = torchvision.models.get_model(arch, weights=None)
        head = tensors.get("fc.weight")
        model.fc = nn.Identity() if head is None else nn.Linear(head.shape[-1], head.shape[0])
        return model

    def network() -> nn.Module:
        from benchmark.networks import filled

        return filled(build, tensors)

    return Source(
        format="torchvision",
        arch=arch,
        tensors={name: tensor for name, tensor in tensors.items() if name not in HEAD},
        dropped=[state.prefix + name for name in HEAD if name in tensors] + state.beside,
        network=network,
        stage_maps=outputs_of("layer1", "layer2", "layer3", "layer4"),
        notes=notes,
        evidence=f"'{state.prefix}conv1.weight' stands where torchvision's files have it",
        reasons={state.prefix + name: "the classifier" for name in HEAD},
    )


def published(arch: str) -> dict[str, str]:
    """Return torchvision's published files of an architecture: first 8 digits of the sha256 -> name."""
    import torchvision

    urls = [weights.url for weights in torchvision.models.get_model_weights(arch)]
    stems = [url.rpartition("/")[2].removesuffix(".pth") for url in urls]
    stems += [stem for stem in _FORMER if stem.startswith(f"{arch}-")]
    return {stem.rpartition("-")[2]: f"{stem}.pth" for stem in stems}
