"""Hugging Face's ResNets, ViTs (MAE's, DINOv2's) and ConvNeXts: a file, or a folder as the hub has them.

The names are those of `benchmark.hugging_face`; the network that proves the conversion is transformers' own, loaded by
itself with the file's own names. Where transformers is not installed, timm's or torchvision's takes its place.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmark import backbones, hugging_face
from benchmark.intake import beside
from benchmark.normalisation import in_bytes
from benchmark.source import Source
from pretrain.errors import DensebenchError
from pretrain.stored import is_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.source import Change


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell transformers' names by those of the first convolution."""
    return hugging_face.family_of(tree) is not None


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the backbone; `config.json` and `preprocessor_config.json` beside the file are heard where they are there.

    Raises:
        DensebenchError: The file holds none, or the configuration says that it is another network.
        UsageError: The wanted one is not there.
    """
    family = hugging_face.family_of(tree)
    if family is None:
        raise DensebenchError(f"{path} does not hold a network as transformers saves it.")
    source = family.NAMING.read(path, tree, metadata, wanted)
    config = metadata.get("config")
    config = config if isinstance(config, dict) else beside(path, "config.json")
    kind, settings = hugging_face.settings(path, family, source.arch, source.tensors, config)
    eps = settings.get("layer_norm_eps")
    if eps is not None:
        ours = backbones.family(source.arch).eps
        source = dataclasses.replace(source, traits={} if eps == ours else {family.EPS_TRAIT: eps})
        if "layer_norm_eps" not in config:
            source.notes.append(
                f"No configuration says layer_norm_eps: it was taken to be transformers' default, {eps:g}."
            )
    source = _proved_by_transformers(source, family, kind, settings, _trunk(family, tree))
    inputs = beside(path, "preprocessor_config.json")
    mean, std = in_bytes(inputs.get("image_mean")), in_bytes(inputs.get("image_std"))
    if mean is None or std is None:
        return dataclasses.replace(source, assumed=True)
    return dataclasses.replace(source, mean=mean, std=std)


def _trunk(family: ModuleType, tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the trunk's tensors under transformers' names, as its class without a head has them."""
    naming = family.NAMING
    prefix = naming.found(tree)[0].prefix
    plain = {name.removeprefix(prefix): one for name, one in tree.items() if name.startswith(prefix) and is_tensor(one)}
    return {name: one for name, one in plain.items() if not name.startswith(naming.heads)}


def _proved_by_transformers(
    source: Source, family: ModuleType, kind: str, settings: Mapping[str, Any], tensors: dict[str, Tensor]
) -> Source:
    """Let transformers build the network that the conversion is held against, where it is installed."""
    if not _installed():
        source.notes.append(
            "transformers 5 is not installed: the network to compare with was built by another library out of renamed "
            "tensors, so that the comparison does not prove transformers' names."
        )
        return source

    def build(tensors: Mapping[str, Tensor]) -> nn.Module:
        from benchmark.transformers_network import network

        return network(family.MODELS[kind], settings, tensors)

    def reread(change: Change) -> tuple[nn.Module, dict[str, Tensor]]:
        changed = change(tensors)
        renamed = {family.NAMING.rename(name): tensor for name, tensor in changed.items()}
        return build(changed), family.NAMING.join(renamed)

    return dataclasses.replace(source, network=lambda: build(tensors), stage_maps=family.stage_maps, reread=reread)


def _installed() -> bool:
    try:
        return int(importlib.metadata.version("transformers").partition(".")[0]) >= 5
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
