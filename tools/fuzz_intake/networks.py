"""The networks in the files: the real architectures' names and shapes, and every tensor random, statistics too."""

from __future__ import annotations

import functools
import math

import torch
import torchvision
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

SMALL = ("resnet18", "vit_tiny_patch16")
FULL = ("resnet50", "vit_base_patch16")
VITS = {"vit_tiny_patch16": (192, 12, 3), "vit_base_patch16": (768, 12, 12)}  # width, depth, heads
PATCH = 16
SIDES = {"vit_tiny_patch16": 96, "vit_base_patch16": 224}  # of the images that position embeddings belong to
OWN_SIDE = 224  # of the ViTs in densebench's own checkpoints
FIRST = ("conv1.weight", "patch_embed.proj.weight")  # by which networks are found

_LARGE = 1 << 14  # numbers of a tensor that is cut out of a pool
_SLACK = 1 << 15


def is_vit(arch: str) -> bool:
    """Tell the ViTs from the ResNets."""
    return arch in VITS


def source(arch: str, side: int) -> nn.Module:
    """Build torchvision's ResNet or timm's ViT for images of `side` pixels, without a head."""
    if not is_vit(arch):
        network: nn.Module = torchvision.models.get_model(arch, weights=None)
        network.fc = nn.Identity()
        return network.eval()
    width, depth, heads = VITS[arch]
    return VisionTransformer(side, PATCH, embed_dim=width, depth=depth, num_heads=heads, num_classes=0).eval()


@functools.cache
def network(arch: str, number: int, side: int = 0) -> dict[str, Tensor]:
    """Return a network's tensors under torchvision's or timm's names; another number gives other tensors.

    The large tensors are windows of a few pools of numbers. Where a container saves a storage once (torch's do), files
    are a fraction of the real ones' size, whatever number of networks they hold.

    Args:
        arch: A name of `SMALL` or `FULL`.
        number: 0 to 7.
        side: Of the images that a ViT's position embeddings belong to; by default its own of `SIDES`.
    """
    generator = torch.Generator().manual_seed(1000 * number + len(arch))
    with torch.device("meta"):
        wanted = source(arch, side or SIDES.get(arch, 0)).state_dict()
    state = {}
    for place, (name, like) in enumerate(wanted.items()):
        if not like.is_floating_point():
            state[name] = torch.tensor(1000 + number)
        elif like.dim() == 1 or name in ("cls_token", "pos_embed"):
            middle = 0.0 if name.endswith(("bias", "running_mean", "token", "embed")) else 1.0
            state[name] = torch.rand(like.shape, generator=generator) + (middle - 0.5)
        elif like.numel() < _LARGE:
            state[name] = torch.randn(like.shape, generator=generator) * math.sqrt(2 / like[0].numel())
        else:
            start = 8 * (311 * number + place)
            state[name] = _pool(like[0].numel(), like.numel())[start : start + like.numel()].view(like.shape)
    return state


@functools.cache
def _pool(fan_in: int, count: int) -> Tensor:
    numbers = torch.randn(count + _SLACK, generator=torch.Generator().manual_seed(fan_in + count))
    return numbers * math.sqrt(2 / fan_in)
