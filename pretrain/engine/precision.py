"""The precision to compute in, on a CPU or a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeGuard

import torch
from torch import Tensor

from pretrain.errors import UsageError

PRECISIONS = ("float32", "bfloat16")
Arguments = ParamSpec("Arguments")


def has_bfloat16() -> bool:
    """Tell whether this machine multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def choose(wanted: str) -> str:
    """Return the precision to compute in: `wanted`, or float32 where bfloat16 would only be emulated.

    Raises:
        UsageError: `wanted` is no precision.
    """
    if wanted not in PRECISIONS:
        raise UsageError(f"There is no precision '{wanted}'.", f"Choices: {', '.join(PRECISIONS)}.")
    return wanted if wanted == "float32" or has_bfloat16() else "float32"


@contextmanager
def autocast(precision: str) -> Iterator[None]:
    """Compute convolutions and matrix products in `precision` inside the block."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def in_float32(loss: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Make a loss take its floating tensors in one precision, float32 or above, and ignore the autocast around it.

    Losses are computed so, whatever precision the networks run in.
    """

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
