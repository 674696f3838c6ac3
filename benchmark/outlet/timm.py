"""timm: a `.safetensors` with the names of timm's own network."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from benchmark import backbones
from benchmark.certify import Backbone
from benchmark.outlet import ends_in, named
from pretrain import checkpoint
from pretrain.errors import DensebenchError

FORMAT = "timm"


def check(path: Path) -> None:
    """Refuse another suffix than `.safetensors`.

    Raises:
        UsageError: It is another.
    """
    ends_in(path, ".safetensors")


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write the tensors under the names of timm's own network, and the input's normalisation beside.

    Raises:
        DensebenchError: timm has no such network.
    """
    import timm

    if not timm.is_model(trunk.arch):
        raise DensebenchError(f"timm has no {trunk.arch}.")
    with torch.device("meta"):
        network = timm.create_model(trunk.arch, pretrained=False, num_classes=0)
    tensors = named(trunk, network.state_dict(), backbones.family(trunk.arch).rename)
    inputs = {"mean": trunk.mean, "std": trunk.std, "channel_order": trunk.channel_order}
    checkpoint.write_tensors(path, tensors, {"input": json.dumps(inputs)})
    return [f'Load it by timm.create_model("{trunk.arch}", num_classes=0, checkpoint_path="{path}").']
