from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)


@functools.cache
def _trained_looking(arch: str) -> dict[str, Tensor]:
    """A ResNet with its head whose norm layers vary as a trained network's do."""
    import torchvision

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(arch) + int(arch.removeprefix("resnet")))
        state: dict[str, Tensor] = torchvision.models.get_model(arch).state_dict()
        for name, tensor in state.items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(1000)
            elif tensor.dim() == 1:
                centre = 0.0 if name.endswith(("bias", "running_mean")) else 1.0
                tensor.uniform_(centre - 0.5, centre + 0.5)
    return state


@pytest.fixture(scope="session")
def trained_looking() -> Callable[[str], dict[str, Tensor]]:
    """Make a torchvision state dict of an architecture that looks trained; a fresh copy each time."""
    return lambda arch: {name: tensor.clone() for name, tensor in _trained_looking(arch).items()}
