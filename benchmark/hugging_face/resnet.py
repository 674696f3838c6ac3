"""ResNets: transformers' names <-> torchvision's, which are the mm* ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.backbones import resnet
from benchmark.maps import outputs_of
from benchmark.prefixed import Naming, Trunk

if TYPE_CHECKING:
    from torch import Tensor

MODELS = {"resnet": "ResNetModel"}
EPS: dict[str, float] = {}  # there are no layer norms
EPS_TRAIT = ""
TRAITS = ()

_IN_BLOCK = re.compile(
    r"encoder\.stages\.(\d)\.layers\.(\d+)\.(?:(shortcut)|layer\.(\d))\.(convolution|normalization)\."
)


def rename(name: str) -> str:
    """Return torchvision's name: encoder.stages.0.layers.1.layer.2.normalization.bias is layer1.1.bn3.bias."""
    for kind, place in (("convolution", "conv1"), ("normalization", "bn1")):
        if name.startswith(f"embedder.embedder.{kind}."):
            return f"{place}.{name.rpartition('.')[2]}"
    found = _IN_BLOCK.match(name)
    if not found:
        return name
    stage, block, shortcut, layer, kind = found.groups()
    norm = kind == "normalization"
    place = f"downsample.{int(norm)}" if shortcut else f"{'bn' if norm else 'conv'}{int(layer) + 1}"
    return f"layer{int(stage) + 1}.{block}.{place}.{name[found.end() :]}"


NAMING = Naming(
    "transformers",
    (Trunk("backbone", (), "resnet."), Trunk("backbone", (), "")),
    heads=("classifier.",),
    beside=("classifier.",),
    rename=rename,
    landmark="embedder.embedder.convolution.weight",
)


def kind(tensors: Mapping[str, Tensor]) -> str:
    """Return the only `model_type` there is."""
    return "resnet"


def settings(kind: str, arch: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration under transformers' names; strides are where torchvision has them."""
    channels = resnet.channels(arch)
    return {
        "architectures": ["ResNetModel"],
        "num_channels": 3,
        "embedding_size": 64 * resnet.width(arch),
        "hidden_sizes": list(channels),
        "depths": list(resnet.blocks(arch)),
        "layer_type": "basic" if channels[0] == 64 else "bottleneck",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
    }


def published(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return an mm* trunk's tensors under the names of transformers' files."""
    return {name_of(name): tensor for name, tensor in state.items()}


def name_of(name: str) -> str:
    """Return transformers' name: layer1.1.bn3.bias is encoder.stages.0.layers.1.layer.2.normalization.bias."""
    place, _, kind = name.rpartition(".")
    parts = place.split(".")
    last = parts[-1]
    what = "convolution" if last.startswith("conv") or (len(parts) == 4 and last == "0") else "normalization"
    if len(parts) == 1:
        return f"embedder.embedder.{what}.{kind}"
    inside = "shortcut" if len(parts) == 4 else f"layer.{int(last[-1]) - 1}"
    return f"encoder.stages.{int(parts[0][-1]) - 1}.layers.{parts[1]}.{inside}.{what}.{kind}"


stage_maps = outputs_of(*(f"encoder.stages.{stage}" for stage in range(4)))
