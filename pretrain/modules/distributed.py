"""Keys across the ranks: gathered for the queue, and shuffled so that batch norm gives nothing away."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed
from torch import Tensor


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


def shared_order(length: int, device: torch.device) -> Tensor:
    """Draw a permutation of `length` samples on the first rank and give it to all."""
    order = torch.randperm(length).to(device)
    if world()[1] > 1:
        torch.distributed.broadcast(order, src=0)
    return order


def shuffle(images: Tensor, order: Tensor) -> Tensor:
    """Return this rank's share of the global batch in the order `order`.

    Args:
        images: This rank's images, (B, ...).
        order: A permutation of the global batch, (ranks B,), the same on every rank.
    """
    return gather(images)[_share(order)]


def unshuffle(keys: Tensor, order: Tensor) -> Tensor:
    """Bring the keys of shuffled images back to the images' own places: the inverse of `shuffle`."""
    return gather(keys)[_share(torch.argsort(order))]


def shuffled(encode: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor) -> tuple[Tensor, ...]:
    """Encode images under ShuffleBN (MoCo, arXiv 1911.05722, Section 3.3).

    A key's batch norm statistics come from another subset of the global batch than its query's, so they do
    not give the pair away. One process has one subset and nothing to shuffle.

    Args:
        encode: Maps this rank's (B, ...) images to tensors with the same first dimension.
        images: This rank's images.
    """
    _, ranks = world()
    if ranks == 1:
        return encode(images)
    order = shared_order(ranks * len(images), images.device)
    return tuple(unshuffle(keys, order) for keys in encode(shuffle(images, order)))


def _share(order: Tensor) -> Tensor:
    rank, ranks = world()
    return order.view(ranks, -1)[rank]
