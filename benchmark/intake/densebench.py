"""Our own checkpoints: backbone tensors under `pretrain.backbones`' names, and their Meta."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones
from benchmark.intake import single
from benchmark.maps import own_maps
from benchmark.source import Source
from pretrain import checkpoint
from pretrain.errors import DensebenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

REFINES = ("timm", "torchvision")


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell our own files by their header."""
    return checkpoint.KEY in metadata


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read one of our own checkpoints.

    Raises:
        DensebenchError: There is no header, or it names another architecture than the tensors do.
    """
    single(path, wanted)
    meta = checkpoint.meta_of(path, metadata)
    if meta is None:
        raise DensebenchError(f"{path} is not a checkpoint that densebench wrote.")
    tensors: dict[str, Tensor] = tree.get("state_dict", tree)
    found = backbones.identify(tensors)
    if found != meta.arch:
        raise DensebenchError(f"{path} says that it is a {meta.arch}, but its tensors are those of a {found}.")
    return Source(
        format="densebench",
        arch=meta.arch,
        tensors=tensors,
        dropped={},
        network=lambda: _network(meta.arch, tensors),
        stage_maps=own_maps,
        mean=meta.mean,
        std=meta.std,
        channel_order=meta.channel_order,
        meta=dataclasses.asdict(meta),
        evidence="the header that densebench writes",
    )


def _network(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    import pretrain.backbones
    from benchmark.networks import filled

    return filled(lambda: pretrain.backbones.build(arch, seed=0), tensors)
