"""Hugging Face's ResNets (transformers): a file, or a folder as the hub has them, with or without a classifier."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.prefixed import Naming, Trunk
from benchmark.source import Source, Triple
from pretrain.errors import DensebenchError

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

matches = NAMING.matches


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the backbone; `config.json` and `preprocessor_config.json` beside the file are heard where they are there.

    Raises:
        DensebenchError: The file holds none, or the configuration says that it is another network.
        UsageError: The wanted one is not there.
    """
    source = NAMING.read(path, tree, metadata, wanted)
    config = metadata.get("config") or _beside(path, "config.json")
    if config.get("downsample_in_bottleneck"):
        raise DensebenchError(
            f"{path}: its configuration puts the stride on the first convolution of a block "
            "(downsample_in_bottleneck), which the served ResNets do not."
        )
    if config.get("hidden_act", "relu") != "relu":
        raise DensebenchError(f"{path}: its configuration names the activation {config['hidden_act']}, not relu.")
    inputs = _beside(path, "preprocessor_config.json")
    mean, std = _of_bytes(inputs.get("image_mean")), _of_bytes(inputs.get("image_std"))
    return source if mean is None or std is None else dataclasses.replace(source, mean=mean, std=std)


def _beside(path: Path, name: str) -> dict[str, Any]:
    """Return a JSON object of the same folder; {} where there is none."""
    try:
        found = json.loads(((path if path.is_dir() else path.parent) / name).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_bytes(values: Any) -> Triple | None:
    """Return three numbers in units of 0..1 in units of 0..255, to six digits (0.485 is 123.675); None for others."""
    if not isinstance(values, list) or len(values) != 3 or not all(type(one) in (int, float) for one in values):
        return None
    red, green, blue = (round(value * 255, 6) for value in values)
    return red, green, blue
