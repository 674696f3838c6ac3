"""timm's names, in timm's own containers: published safetensors files, and its trainer's checkpoints.

A plain ResNet has torchvision's names in timm too, so only the container tells them apart. The network that
proves the conversion is built by timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones
from benchmark.intake import no_format, single
from benchmark.source import Source, StateDict, fill_counters, open_state_dict, outputs_of
from pretrain.errors import DensebenchError

if TYPE_CHECKING:
    from torch import nn

REFINES = ("torchvision",)
CONTAINERS = ("state_dict_ema", "state_dict")  # timm itself prefers the averaged weights
HEAD = ("fc.weight", "fc.bias")


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell timm's containers: safetensors marked "pt", or a trainer's file with its `version` and `arch`."""
    ours = metadata.get("format") == "pt" or {"state_dict", "version", "arch"} <= tree.keys()
    return ours and _opened(tree) is not None


def _opened(tree: Mapping[str, Any]) -> StateDict | None:
    """Open the averaged weights where there are any: the others do not stand in for damaged ones."""
    state = open_state_dict(tree, CONTAINERS, "conv1.weight")
    if "state_dict_ema" in tree and state is not None and "state_dict_ema" in state.beside:
        return None
    return state


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read a state dict with timm's names.

    Raises:
        DensebenchError: The names are others, or the architecture is none of ours.
        UsageError: One of several networks is wanted.
    """
    single(path, wanted)
    state = _opened(tree)
    if state is None:
        raise no_format(path, tree)
    tensors, notes = fill_counters(state.tensors)
    arch = backbones.identify(tensors)
    if arch is None:
        raise DensebenchError(
            f"{path} has timm's names, but its blocks are those of no architecture that is served.",
            f"Served: {', '.join(backbones.names())}.",
        )
    averaged = "state_dict_ema" if "state_dict_ema" in tree else ""
    if averaged:
        notes.append("The averaged weights (state_dict_ema) were taken, as timm takes them.")

    def network() -> nn.Module:
        import timm

        from benchmark.networks import filled

        head = tensors.get("fc.weight")
        classes = 0 if head is None else head.shape[0]
        return filled(lambda: timm.create_model(arch, pretrained=False, num_classes=classes), tensors)

    return Source(
        format="timm",
        arch=arch,
        tensors={name: tensor for name, tensor in tensors.items() if name not in HEAD},
        dropped=[state.prefix + name for name in HEAD if name in tensors] + state.beside,
        network=network,
        stage_maps=outputs_of("layer1", "layer2", "layer3", "layer4"),
        notes=notes,
        trunk=averaged,
        candidates=[name for name in CONTAINERS if averaged and name in tree],
        why="timm itself takes the averaged weights" if averaged else "the only one",
        evidence="plain names in safetensors marked 'pt', or in a trainer's file with 'version' and 'arch'",
        reasons={state.prefix + name: "the classifier" for name in HEAD},
    )
