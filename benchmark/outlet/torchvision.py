"""torchvision: a flat state dict in a `.pth`."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark import backbones
from benchmark.certify import Backbone
from benchmark.outlet import ends_in, named
from pretrain.errors import DensebenchError
from pretrain.files import replacing

FORMAT = "torchvision"


def check(path: Path) -> None:
    """Refuse another suffix than `.pth`.

    Raises:
        UsageError: It is another.
    """
    ends_in(path, ".pth")


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write the tensors under the names of torchvision's own network.

    Raises:
        DensebenchError: torchvision has no such network.
    """
    import torchvision

    if trunk.arch not in torchvision.models.list_models():
        raise DensebenchError(f"torchvision has no {trunk.arch}.")
    with torch.device("meta"):
        network = torchvision.models.get_model(trunk.arch, weights=None)
    network.fc = torch.nn.Identity()
    tensors = named(trunk, network.state_dict(), backbones.family(trunk.arch).rename)
    with replacing(path) as temporary:
        torch.save(tensors, temporary)
    return [f"Load it strictly into torchvision.models.{trunk.arch}() after `model.fc = torch.nn.Identity()`."]
