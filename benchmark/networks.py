"""Networks that hold the very tensors of a checkpoint: nothing is drawn at random first, and nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

import torch
from torch import Tensor, nn


def bare(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network without memory for its tensors, where `load_state_dict(..., assign=True)` brings all of them.

    One that has others, or that computes with numbers while it is built, is built as usual.
    """
    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, NotImplementedError):  # the numbers of `torch.linspace` are asked for, say
        return build()
    named = chain(network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False))
    return network if {name for name, _ in named} <= network.state_dict().keys() else build()


def filled(build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a network in eval mode with these tensors in their places.

    Raises:
        RuntimeError: A tensor is missing, left over, or of another shape.
    """
    network = bare(build)
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval()
