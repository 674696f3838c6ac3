"""Losses are computed in float32, whatever precision the networks run in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")


def in_float32(loss: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Make `loss` take its floating tensors as float32 and ignore the autocast around it."""

    @functools.wraps(loss)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(first.device.type, enabled=False):
            return loss(
                *(_float32(value) for value in args),  # type: ignore[arg-type]
                **{key: _float32(value) for key, value in kwargs.items()},  # type: ignore[arg-type]
            )

    return wrapped


def _float32(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
