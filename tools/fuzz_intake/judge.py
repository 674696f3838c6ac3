"""Whether what was certified is the network of the file: found out without any of densebench's readers and tables.

The file's tensors are looked up where the builder put them and loaded strictly into torchvision's ResNet or timm's ViT;
the certified ones into MMDetection's or MMPreTrain's, as these packages build them.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.certify import Backbone
from benchmark.quiet import quiet

from .containers import read_otherwise
from .formats import File, State
from .networks import PATCH, VITS, is_vit, source

_TOLERANCE = 1e-4  # of a map's largest value


def holds_the_files_network(made: File, backbone: Backbone, path: Path) -> State | None:
    """Return the tensors of the file's network if what was certified is this network; None if it is not."""
    read = read_otherwise(path)
    for place in made.places:
        if place.arch != backbone.arch:
            continue
        tensors: State = {}
        for name, way in place.ways.items():
            value: Any = made.tree if read is None else read
            for key in way:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, np.ndarray | Tensor):
                tensors[name] = torch.as_tensor(value) if "tracked" in name else torch.as_tensor(value).float()
        found = dict(tensors)
        if not any("tracked" in name for name in tensors):  # as in files that are older than these counters
            tensors |= {name: torch.tensor(0) for name in backbone.state if "tracked" in name}
        if _numbers(tensors) == _numbers(backbone.state) and _same_features(place.arch, tensors, backbone.state):
            return found
    return None


def _numbers(state: State) -> Counter[tuple[tuple[int, ...], int]]:
    """Return shapes and checksums of tensors, whatever their names are."""
    return Counter((tuple(one.shape), zlib.crc32(one.contiguous().numpy().tobytes())) for one in state.values())


@torch.inference_mode()
def _same_features(arch: str, tensors: State, state: State) -> bool:
    side = 64
    if is_vit(arch):  # the very grid of the position embeddings, so that nobody interpolates
        positions = tensors.get("pos_embed")
        if positions is None or positions.dim() != 3:
            return False
        side = PATCH * math.isqrt(positions.shape[1] - 1)
    theirs, ours = _theirs(arch, side), _ours(arch, side)
    try:
        theirs.load_state_dict(tensors, strict=True, assign=True)
        ours.load_state_dict(state, strict=True, assign=True)
    except RuntimeError:
        return False
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3)) * 4 - 2
    wanted, found = _maps(arch, theirs, images), ours(images)
    return len(wanted) == len(found) == 4 and all(map(_agree, wanted, found))


def _agree(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= _TOLERANCE * one.abs().max())


@functools.cache
def _theirs(arch: str, side: int) -> nn.Module:
    with torch.device("meta"):
        return source(arch, side)


def _maps(arch: str, network: Any, images: Tensor) -> list[Tensor]:
    """Run torchvision's or timm's network and return the maps of the four stages, (B, C, h, w)."""
    if is_vit(arch):
        quarter = len(network.blocks) // 4
        last = [quarter * (stage + 1) - 1 for stage in range(4)]
        maps = network.forward_intermediates(images, indices=last, norm=False, intermediates_only=True)
        return [*maps[:3], network.norm(maps[3].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)]
    x, maps = network.maxpool(network.relu(network.bn1(network.conv1(images)))), []
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = stage(x)
        maps.append(x)
    return maps


@functools.cache
def _ours(arch: str, side: int) -> nn.Module:
    with quiet(), torch.device("meta"):
        if not is_vit(arch):
            from mmdet.models.backbones import ResNet

            network: nn.Module = ResNet(int(arch.removeprefix("resnet")))
        else:
            from mmpretrain.models.backbones import VisionTransformer

            width, depth, heads = VITS[arch]
            sizes = {"embed_dims": width, "num_layers": depth, "num_heads": heads, "feedforward_channels": 4 * width}
            last = [depth // 4 * (stage + 1) - 1 for stage in range(4)]
            network = VisionTransformer(
                sizes, side, PATCH, out_indices=last, out_type="featmap", norm_cfg={"type": "LN", "eps": 1e-6}
            )
    network.eval()  # which returns nothing
    return network
