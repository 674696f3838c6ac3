"""What the downstream half knows of architectures: one family a file, which names its members in `ARCHS`.

A family has `rename(name)` (a source's plain name -> the mm* name), `config(arch, **traits)` (the mm* backbone),
`channels(arch)` and `identify(tensors)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from pretrain.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["family", "identify", "names"]


def names() -> list[str]:
    """Return the architectures that can be taken downstream."""
    return [arch for module in _families() for arch in module.ARCHS]


def family(arch: str) -> ModuleType:
    """Return the family that serves an architecture.

    Raises:
        UsageError: There is no such architecture.
    """
    for module in _families():
        if arch in module.ARCHS:
            return module
    raise unknown("architecture", arch, names())


def identify(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell the architecture from the tensors' plain names; None where it is none of ours."""
    found = (module.identify(tensors) for module in _families())
    return next((arch for arch in found if arch is not None), None)


def _families() -> list[ModuleType]:
    modules = (importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__))
    return [module for module in modules if hasattr(module, "ARCHS")]
