"""Backbones with a declared feature layout: one family a file, which names its members in `ARCHS`.

A family's file defines one subclass of `Backbone`, which is built from a member's name.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType

import torch

from pretrain.backbone import Backbone, Layout
from pretrain.errors import unknown

__all__ = ["Backbone", "Layout", "build", "names"]


def names() -> list[str]:
    """Return the architectures that `build` knows."""
    return [arch for family in _families() for arch in family.ARCHS]


def build(arch: str, seed: int | None = None) -> Backbone:
    """Build a backbone with random weights.

    Args:
        arch: One of `names()`.
        seed: A seed gives the same bits every time and leaves the global generator alone; without one the
            weights are drawn from the global generator.

    Raises:
        UsageError: There is no such architecture.
    """
    family = next((family for family in _families() if arch in family.ARCHS), None)
    if family is None:
        raise unknown("architecture", arch, names())
    create = _class_of(family)
    if seed is None:
        return create(arch)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return create(arch)


def _class_of(family: ModuleType) -> Callable[[str], Backbone]:
    (backbone,) = (
        value
        for value in vars(family).values()
        if inspect.isclass(value) and issubclass(value, Backbone) and value.__module__ == family.__name__
    )
    return backbone


def _families() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]
