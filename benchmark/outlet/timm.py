"""timm: a `.safetensors` with the names of timm's own network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from benchmark import backbones
from benchmark.certify import Backbone
from benchmark.outlet import named
from pretrain import checkpoint
from pretrain.errors import DensebenchError

FORMAT = "timm"
SUFFIXES = (".safetensors",)


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write the tensors under the names of timm's own network, and the input's normalisation beside.

    Raises:
        DensebenchError: timm has no such network.
    """
    import timm

    family = backbones.family(trunk.arch)
    size = family.image_size(trunk.arch, trunk.state)
    name = trunk.arch if size is None else f"{trunk.arch}_224"  # as timm calls its ViTs, whatever the size is
    if not timm.is_model(name):
        raise DensebenchError(f"timm has no {trunk.arch}.")
    options: dict[str, Any] = {} if size is None else {"img_size": size[0]}
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, num_classes=0, **options)
    tensors = named(trunk, network.state_dict(), family.rename)
    inputs = {"mean": trunk.mean, "std": trunk.std, "channel_order": trunk.channel_order}
    checkpoint.write_tensors(path, tensors, {"input": json.dumps(inputs)})
    sized = "".join(f", {option}={value}" for option, value in options.items())
    return [f'Load it by timm.create_model("{name}", num_classes=0{sized}, checkpoint_path="{path}").']
