"""What the downstream half knows of architectures: one family a file, its `FAMILY`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from benchmark.family import Family
from pretrain.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["family", "identify", "landmarks", "library_of", "names", "register"]


def names() -> list[str]:
    """Return the architectures that can be taken downstream."""
    return [arch for family in _families() for arch in family.archs]


def family(arch: str) -> Family:
    """Return the family that serves an architecture.

    Raises:
        UsageError: There is no such architecture.
    """
    for family in _families():
        if arch in family.archs:
            return family
    raise unknown("architecture", arch, names())


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from the tensors' plain names and shapes; None where it is none of ours."""
    found = (family.identify(tensors) for family in _families())
    return next((arch for arch in found if arch is not None), None)


def landmarks() -> list[str]:
    """Return the names of first convolutions, of which every trunk has one; longer names stand first."""
    return sorted({name for family in _families() for name in family.landmarks}, key=lambda name: (-len(name), name))


def library_of(arch: str, names: Iterable[str]) -> str | None:
    """Tell whose names of an architecture these are, such as "timm"; None where no first convolution is among them."""
    known = family(arch).landmarks
    return next((known[name] for name in names if name in known), None)


def register(arch: str) -> None:
    """Make the architecture's mm* backbone known to mmdet and mmseg."""
    for module in family(arch).registers:
        importlib.import_module(module)


@functools.cache
def _families() -> tuple[Family, ...]:
    return tuple(importlib.import_module(f"{__name__}.{item.name}").FAMILY for item in pkgutil.iter_modules(__path__))
