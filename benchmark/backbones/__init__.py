"""What the downstream half knows of architectures: one family a file, which names its members in `ARCHS`.

A family has
- `rename(name)`: a source's plain name, of whichever library -> the mm* name;
- `identify(tensors)`: the architecture that plain names and shapes show;
- `config(arch, size=..., **traits, **asked)`: the mm* backbone for images of `size`, as a protocol for ResNets asks;
- `channels(arch)` and `strides(arch)` of the four maps, and `STAGES`, what a certificate calls them;
- `LANDMARKS`: the first convolution's name, and the library whose naming it is and whose network proves a conversion;
- `HEADS`: beginnings of a linear classifier's names;
- `REGISTERS`: the modules that register the mm* backbones which mm* lack;
- `CUTS`: whether the last stage can be cut off for a box head; `DILATES`: whether the last two can be dilated;
- `values(arch)`: what else `$names` of a protocol stand for;
- `INIT`: what `pretrain.backbones` draws its weights from;
- `traits(tensors)`: what a network has or lacks beyond its architecture, as plain names show it; given to `config`;
- `image_size(arch, tensors)`: the size that position embeddings belong to, None where there are none.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from pretrain.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["family", "identify", "landmarks", "library_of", "names", "register"]


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
    """Tell the architecture from the tensors' plain names and shapes; None where it is none of ours."""
    found = (module.identify(tensors) for module in _families())
    return next((arch for arch in found if arch is not None), None)


def landmarks() -> list[str]:
    """Return the names of first convolutions, of which every trunk has one; longer names stand first."""
    return sorted({name for module in _families() for name in module.LANDMARKS}, key=lambda name: (-len(name), name))


def library_of(arch: str, names: Iterable[str]) -> str | None:
    """Tell whose names of an architecture these are, such as "timm"; None where no first convolution is among them."""
    known = family(arch).LANDMARKS
    return next((known[name] for name in names if name in known), None)


def register(arch: str) -> None:
    """Make the architecture's mm* backbone known to mmdet and mmseg."""
    for module in family(arch).REGISTERS:
        importlib.import_module(module)


@functools.cache
def _families() -> tuple[ModuleType, ...]:
    return tuple(importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__))
