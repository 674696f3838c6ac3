"""torchvision: a flat state dict in a `.pth`."""

from __future__ import annotations

from pathlib import Path

from benchmark import backbones
from benchmark.certify import Backbone
from benchmark.intake.torchvision import NAMES
from benchmark.networks import bare
from benchmark.outlet import named
from pretrain.errors import DensebenchError
from pretrain.saving import write_torch

FORMAT = "torchvision"
SUFFIXES = (".pth",)


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write the tensors under the names of torchvision's own network.

    Raises:
        DensebenchError: torchvision has no such network.
    """
    import torchvision

    family = backbones.family(trunk.arch)
    name, size = NAMES.get(trunk.arch, trunk.arch), family.image_size(trunk.arch, trunk.state)
    if name not in torchvision.models.list_models():
        raise DensebenchError(f"torchvision has no {trunk.arch}.")
    options = {} if size is None else {"image_size": size[0]}
    network = bare(lambda: torchvision.models.get_model(name, weights=None, **options))
    wanted = {key: one for key, one in network.state_dict().items() if not key.startswith(family.heads)}
    tensors = named(trunk, wanted, family.rename)
    write_torch(path, tensors)
    sized = "".join(f"{option}={value}" for option, value in options.items())
    heads = ", ".join(family.heads)
    return [f"Load it into torchvision.models.{name}({sized}); only the classifier ({heads}) is not in it."]
