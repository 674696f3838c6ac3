"""ConvNeXts: transformers' names <-> timm's and the mm* ones.

Their blocks' layer norms have eps 1e-6 like everybody's; `layer_norm_eps` is the final norm's alone, by default 1e-12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.backbones import convnext
from benchmark.maps import outputs_of
from benchmark.prefixed import Naming, Trunk

if TYPE_CHECKING:
    from torch import Tensor

MODELS = {"convnext": "ConvNextModel"}
EPS = {"convnext": 1e-12}
EPS_TRAIT = "final_eps"
TRAITS = ("layer_scale", EPS_TRAIT)

_BLOCK = re.compile(r"encoder\.stages\.(\d)\.layers\.(\d+)\.([^.]+)(.*)")
_DOWNSAMPLE = re.compile(r"encoder\.stages\.(\d)\.downsampling_layer\.(.+)")
_LAYERS = {  # transformers', timm's, the mm* name
    "dwconv": ("conv_dw", "depthwise_conv"),
    "layernorm": ("norm", "norm"),
    "pwconv1": ("mlp.fc1", "pointwise_conv1"),
    "pwconv2": ("mlp.fc2", "pointwise_conv2"),
    "layer_scale_parameter": ("gamma", "gamma"),
}
_TO_TIMM = {"embeddings.patch_embeddings": "stem.0", "embeddings.layernorm": "stem.1", "layernorm": "head.norm"}
_FROM_MM = {
    "downsample_layers.0.0": "embeddings.patch_embeddings",
    "downsample_layers.0.1": "embeddings.layernorm",
    "norm3": "layernorm",
}
_MM_BLOCK = re.compile(r"stages\.(\d)\.(\d+)\.([^.]+)(.*)")
_MM_DOWNSAMPLE = re.compile(r"downsample_layers\.(\d)\.(.+)")


def rename(name: str) -> str:
    """Return timm's name: encoder.stages.2.layers.7.pwconv1.bias is stages.2.blocks.7.mlp.fc1.bias."""
    if block := _BLOCK.fullmatch(name):
        return f"stages.{block[1]}.blocks.{block[2]}.{_LAYERS.get(block[3], (block[3],))[0]}{block[4]}"
    if place := _DOWNSAMPLE.fullmatch(name):
        return f"stages.{place[1]}.downsample.{place[2]}"
    stem, dot, last = name.rpartition(".")
    return _TO_TIMM.get(stem, stem) + dot + last


NAMING = Naming(
    "transformers",
    (Trunk("backbone", (), "convnext."), Trunk("backbone", (), "")),
    heads=("classifier.",),
    beside=("classifier.",),
    rename=rename,
    landmark="embeddings.patch_embeddings.weight",
)


def kind(tensors: Mapping[str, Tensor]) -> str:
    """Return the only `model_type` there is."""
    return "convnext"


def settings(kind: str, arch: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration under transformers' names."""
    scaled = convnext.traits(state).get("layer_scale", True)
    return {
        "architectures": ["ConvNextModel"],
        "num_channels": 3,
        "patch_size": 4,
        "num_stages": 4,
        "hidden_sizes": list(convnext.channels(arch)),
        "depths": list(convnext.depths(arch)),
        "hidden_act": "gelu",
        "layer_scale_init_value": 1e-6 if scaled else 0.0,
    }


def published(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return an mm* trunk's tensors under the names of transformers' files."""
    return {_name_of(name): tensor for name, tensor in state.items()}


def _name_of(name: str) -> str:
    """Return transformers' name of an mm* one: stages.2.7.gamma is encoder.stages.2.layers.7.layer_scale_parameter."""
    stem, _, last = name.rpartition(".")
    if stem in _FROM_MM:
        return f"{_FROM_MM[stem]}.{last}"
    if place := _MM_DOWNSAMPLE.fullmatch(name):
        return f"encoder.stages.{place[1]}.downsampling_layer.{place[2]}"
    back = {ours: theirs for theirs, (_, ours) in _LAYERS.items()}
    return _MM_BLOCK.sub(lambda block: f"encoder.stages.{block[1]}.layers.{block[2]}.{back[block[3]]}{block[4]}", name)


def stage_maps(network: Any, images: Tensor) -> list[Tensor]:
    """Run transformers' network; its final norm, which it applies to their mean, acts on the last map's locations."""
    *maps, last = outputs_of(*(f"encoder.stages.{stage}" for stage in range(4)))(network, images)
    return [*maps, network.layernorm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)]
