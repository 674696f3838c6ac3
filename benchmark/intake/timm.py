"""timm's names: published safetensors files, its trainer's checkpoints, and plain state dicts of all but ResNets.

A plain ResNet has torchvision's names in timm too, so only timm's own containers tell them apart. Many code bases
(DINO, MAE) name their ViTs as timm does. The network that proves the conversion is built by timm.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark import backbones, unserved
from benchmark.intake import beside, no_format, single
from benchmark.normalisation import in_bytes
from benchmark.source import NO_WEIGHT, Source, StateDict, built_by, fill_counters, open_state_dict

REFINES = ("torchvision",)
CONTAINERS = ("state_dict_ema", "state_dict", "model")  # timm itself prefers the averaged weights
OWN = ("patch_embed.proj.weight", "stem.0.bias", "stem.conv.weight")  # of a ViT, a ConvNeXt, a RegNetY
LANDMARKS = ("conv1.weight", *OWN)


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell timm's names, a ResNet's by the container: safetensors marked "pt", or a file with `version` and `arch`."""
    ours = metadata.get("format") == "pt" or {"state_dict", "version", "arch"} <= tree.keys()
    return open_state_dict(tree, CONTAINERS, LANDMARKS if ours else OWN) is not None


def _opened(tree: Mapping[str, Any]) -> StateDict | None:
    """Open the averaged weights where there are any: the others do not stand in for damaged ones."""
    state = open_state_dict(tree, CONTAINERS, LANDMARKS)
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
        raise unserved.refusal(f"{path} has timm's names, but", tensors)
    averaged = "state_dict_ema" if "state_dict_ema" in tree else ""
    if averaged:
        notes.append("The averaged weights (state_dict_ema) were taken, as timm takes them.")

    heads = backbones.family(arch).heads
    left_out = [state.prefix + name for name in tensors if name.startswith(heads)]
    network, stage_maps = built_by("timm", arch, tensors)
    source = Source(
        format="timm",
        arch=arch,
        tensors={name: tensor for name, tensor in tensors.items() if not name.startswith(heads)},
        dropped={**dict.fromkeys(left_out, "the classifier"), **dict.fromkeys(state.beside, NO_WEIGHT)},
        network=network,
        stage_maps=stage_maps,
        notes=notes,
        trunk=averaged,
        candidates=[name for name in CONTAINERS if averaged and name in tree],
        why="timm itself takes the averaged weights" if averaged else "the only one",
        evidence="timm's names of a ViT, ConvNeXt or RegNetY"
        if any(name in tensors for name in OWN)
        else "plain names in safetensors marked 'pt', or in a trainer's file with 'version' and 'arch'",
    )
    inputs = _written(metadata) or _configured(path, metadata)
    return dataclasses.replace(source, **inputs, assumed=not inputs)


def _configured(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the normalisation that timm's `config.json` of the folder states; {} where there is none."""
    config = metadata.get("config")
    config = config if isinstance(config, dict) else beside(path, "config.json")
    settings = config.get("pretrained_cfg")
    settings = settings if isinstance(settings, dict) else {}
    mean, std = in_bytes(settings.get("mean")), in_bytes(settings.get("std"))
    return {} if mean is None or std is None else {"mean": mean, "std": std}


def _written(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the normalisation that files of `benchmark.outlet.timm` state; {} for others."""
    try:
        inputs = json.loads(metadata["input"])
        mean, std = (tuple(float(value) for value in inputs[name]) for name in ("mean", "std"))
        order = inputs["channel_order"]
    except (KeyError, TypeError, ValueError):
        return {}
    known = len(mean) == len(std) == 3 and order in ("RGB", "BGR")
    return {"mean": mean, "std": std, "channel_order": order} if known else {}
