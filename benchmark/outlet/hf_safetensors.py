"""Hugging Face transformers: a folder with `model.safetensors`, `config.json` and `preprocessor_config.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.backbones import resnet
from benchmark.certify import Backbone
from benchmark.intake import transformers
from benchmark.outlet import named
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError
from pretrain.files import replacing

FORMAT = "transformers"


def check(path: Path) -> None:
    """Refuse what is no folder.

    Raises:
        UsageError: It is a file, or is called like one.
    """
    if path.suffix in (".safetensors", ".pth", ".json") or path.is_file():
        raise UsageError(f"{path} should be a folder, for transformers keep a network in several files.")


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write a folder that transformers' `from_pretrained` loads.

    Raises:
        DensebenchError: transformers have no such network, or cannot say that its channels are BGR.
    """
    if trunk.arch not in resnet.ARCHS:
        raise DensebenchError(f"Writing a {trunk.arch} for transformers is not provided for.")
    if trunk.channel_order != "RGB":
        raise DensebenchError("transformers' configuration cannot say that a network's images are BGR.")
    tensors = named(trunk, {_name(name): one for name, one in trunk.state.items()}, transformers.rename)
    checkpoint.write_tensors(path / "model.safetensors", tensors, {})
    _write_json(path / "config.json", _config(trunk.arch))
    inputs = {
        "image_processor_type": "ConvNextImageProcessor",
        "do_resize": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [value / 255 for value in trunk.mean],
        "image_std": [value / 255 for value in trunk.std],
    }
    _write_json(path / "preprocessor_config.json", inputs)
    return [f'Load it by transformers.AutoModel.from_pretrained("{path}").']


def _config(arch: str) -> dict[str, Any]:
    channels = resnet.channels(arch)
    return {
        "architectures": ["ResNetModel"],
        "model_type": "resnet",
        "num_channels": 3,
        "embedding_size": 64,
        "hidden_sizes": list(channels),
        "depths": list(resnet.blocks(arch)),
        "layer_type": "basic" if channels[0] == 64 else "bottleneck",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _name(name: str) -> str:
    """Return transformers' name: layer1.1.bn3.bias is encoder.stages.0.layers.1.layer.2.normalization.bias."""
    place, _, kind = name.rpartition(".")
    parts = place.split(".")
    last = parts[-1]
    what = "convolution" if last.startswith("conv") or (len(parts) == 4 and last == "0") else "normalization"
    if len(parts) == 1:
        return f"embedder.embedder.{what}.{kind}"
    inside = "shortcut" if len(parts) == 4 else f"layer.{int(last[-1]) - 1}"
    return f"encoder.stages.{int(parts[0][-1]) - 1}.layers.{parts[1]}.{inside}.{what}.{kind}"
