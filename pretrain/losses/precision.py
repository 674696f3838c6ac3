"""Losses are computed in float32 at least, whatever precision the networks run in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeGuard

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")


def in_float32(loss: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Make `loss` take its floating tensors in one precision, float32 or above, and ignore the autocast around it."""

    @functools.wraps(loss)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        tensors = [value for value in (*args, *kwargs.values()) if _is_floating(value)]
        precision = functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
        with torch.autocast(tensors[0].device.type, enabled=False):
            return loss(
                *(value.to(precision) if _is_floating(value) else value for value in args),  # type: ignore[arg-type]
                **{  # type: ignore[arg-type]
                    key: value.to(precision) if _is_floating(value) else value for key, value in kwargs.items()
                },
            )

    return wrapped


def _is_floating(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()
