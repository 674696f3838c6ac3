"""Hugging Face transformers: a folder with `model.safetensors`, `config.json` and `preprocessor_config.json`."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark import backbones, hugging_face
from benchmark.certify import Backbone
from pretrain import checkpoint
from pretrain.errors import DensebenchError
from pretrain.files import replacing

FORMAT = "transformers"
SUFFIXES = ()  # a folder


def traits(arch: str) -> tuple[str, ...]:
    """Return what transformers' configuration can say of a network beyond its architecture."""
    return tuple(_family(arch).TRAITS)


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write a folder that transformers' `from_pretrained` loads.

    Raises:
        DensebenchError: transformers have no such network, or cannot say that its channels are BGR.
    """
    family = _family(trunk.arch)
    if trunk.channel_order != "RGB":
        raise DensebenchError("transformers' configuration cannot say that a network's images are BGR.")
    kind = "dinov2" if "dinov2" in family.MODELS and trunk.traits.get("layer_scale") else next(iter(family.MODELS))
    tensors = family.published(trunk.state, kind)
    checkpoint.write_tensors(path / "model.safetensors", tensors, {})
    config = {"model_type": kind, **family.settings(kind, trunk.arch, trunk.state)}
    if family.EPS:
        config["layer_norm_eps"] = trunk.traits.get(family.EPS_TRAIT, backbones.family(trunk.arch).eps)
    if kind == "dinov2":
        config["use_mask_token"] = False
    _write_json(path / "config.json", config)
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
    pooler = ", add_pooling_layer=False" if family.MODELS[kind] == "ViTModel" else ""
    return [f'Load it by transformers.AutoModel.from_pretrained("{path}"{pooler}).']


def _family(arch: str) -> ModuleType:
    name = backbones.family(arch).name
    found = next((family for family in hugging_face.families() if family.__name__.endswith(f".{name}")), None)
    if found is None:
        raise DensebenchError(f"Writing a {arch} for transformers is not provided for.")
    return found


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
