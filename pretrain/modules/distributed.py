"""What the ranks tell each other: embeddings and keys, gathered; images, shuffled against hints by batch norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed
from torch import Tensor

from pretrain.errors import UsageError


def world() -> tuple[int, int]:
    """Return (rank, number of ranks); (0, 1) without a process group."""
    if not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


@torch.no_grad()
def gather(tensor: Tensor) -> Tensor:
    """Concatenate the ranks' equally large tensors along the first dimension, in the ranks' order."""
    _, ranks = world()
    if ranks == 1:
        return tensor
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(ranks)]
    torch.distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """`gather` whose gradient comes back: the sum of what all ranks say of this rank's part."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        return gather(tensor)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        rank, ranks = world()
        total = gradient.clone(memory_format=torch.contiguous_format)  # autograd may still read the original
        torch.distributed.all_reduce(total)
        return total.chunk(ranks)[rank]


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """Concatenate as `gather` does, and let gradients flow back to every rank's part.

    A loss that each rank computes from the whole batch, averaged over the ranks as DistributedDataParallel
    averages gradients, then has the gradient of one process on the whole batch.
    """
    if world()[1] == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


def places(images: int, device: torch.device) -> Tensor:
    """Return where this process's images stand in the global batch, (images,)."""
    return torch.arange(images, device=device) + images * world()[0]


def gather_views(views: Tensor) -> Tensor:
    """Gather with gradient what every rank has of several views: (V, B, D) becomes (V, N, D)."""
    return gather_with_gradient(views.transpose(0, 1)).transpose(0, 1)


def shared_order(length: int, device: torch.device) -> Tensor:
    """Draw a permutation of `length` samples on the first rank and give it to all."""
    return from_first_rank(torch.randperm(length).to(device))


def from_first_rank(tensor: Tensor) -> Tensor:
    """Return what the first rank has, on every rank; the others' tensors are overwritten."""
    if world()[1] > 1:
        torch.distributed.broadcast(tensor, src=0)
    return tensor


def shuffle(images: Tensor, order: Tensor) -> Tensor:
    """Return this rank's share of the global batch in the order `order`.

    Args:
        images: This rank's images, (B, ...).
        order: A permutation of the global batch, (ranks B,), the same on every rank.
    """
    return gather(images)[_share(order)]


def unshuffle(keys: Tensor, order: Tensor) -> Tensor:
    """Bring the keys of shuffled images back to the images' own places: the inverse of `shuffle`. Gradients pass."""
    return gather_with_gradient(keys)[_share(torch.argsort(order))]


Encode = Callable[[Tensor], tuple[Tensor, ...]]


def in_groups(encode: Encode, images: Tensor, groups: int) -> tuple[Tensor, ...]:
    """Encode images in equal groups, each with its own batch norm statistics, as so many devices would.

    Args:
        encode: Maps (B, ...) images to tensors with the same first dimension.
        images: This rank's images; B is a multiple of `groups`.
        groups: How many.
    """
    if groups == 1:
        return encode(images)
    if len(images) % groups:
        raise UsageError(
            f"A batch of {len(images)} images cannot be split into {groups} equal groups.",
            "Set batch_size to a multiple of batch_norm_groups.",
        )
    parts = [encode(part) for part in images.chunk(groups)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def shuffled(encode: Encode, images: Tensor, groups: int) -> tuple[Tensor, ...]:
    """Encode images under ShuffleBN (MoCo, arXiv 1911.05722, Section 3.3).

    A key's batch norm statistics come from another subset of the global batch than its query's, so they do
    not give the pair away. The subsets are the ranks' groups; a single one has nothing to shuffle.

    Args:
        encode: Maps (B, ...) images to tensors with the same first dimension.
        images: This rank's images.
        groups: The groups of each rank (see `in_groups`).
    """
    _, ranks = world()
    if ranks * groups == 1:
        return encode(images)
    order = shared_order(ranks * len(images), images.device)
    keys = in_groups(encode, shuffle(images, order), groups)
    return tuple(unshuffle(key, order) for key in keys)


def _share(order: Tensor) -> Tensor:
    rank, ranks = world()
    return order.view(ranks, -1)[rank]
