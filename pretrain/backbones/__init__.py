"""Backbones with a declared feature layout: one family a file, which names its members in `ARCHS`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import torch

from pretrain.backbones.layout import Backbone, Layout
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
    for family in _families():
        if arch in family.ARCHS:
            break
    else:
        raise unknown("architecture", arch, names())
    if seed is None:
        return _build(family, arch)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _build(family, arch)


def _build(family: ModuleType, arch: str) -> Backbone:
    backbone = family.build(arch)
    assert isinstance(backbone, Backbone)
    return backbone


def _families() -> list[ModuleType]:
    found = (importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__))
    return [module for module in found if hasattr(module, "ARCHS")]
