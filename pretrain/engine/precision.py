"""The precision to compute in, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pretrain.errors import UsageError

PRECISIONS = ("float32", "bfloat16")


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
