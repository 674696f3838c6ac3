"""The way back out: a trunk as a file that other code bases load; a target a file, `hf_safetensors` for hf-safetensors.

A target has `FORMAT` (the intake format that reads what it writes), `SUFFIXES` (of the file that it writes; none where
it writes a folder) and `write(path, trunk)`, which returns how to load what was written, a sentence each. It may have
`traits(arch)`: what it can say of a network beyond its architecture.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchmark.destination import check_file, check_folder
from pretrain.errors import DensebenchError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.certify import Backbone

__all__ = ["check", "load", "named", "names"]


def names() -> list[str]:
    """Return the targets that can be written."""
    return sorted(item.name.replace("_", "-") for item in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """Return the target of this name.

    Raises:
        UsageError: There is no such target.
    """
    if name not in names():
        raise unknown("target", name, names())
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def check(target: ModuleType, path: Path) -> None:
    """Refuse a path that a target does not write to.

    Raises:
        UsageError: It has another suffix, is called like a file where a folder is written, or something is in the way.
    """
    if target.SUFFIXES:
        check_file(path, target.SUFFIXES)
    else:
        check_folder(path)


def named(trunk: Backbone, wanted: Mapping[str, Tensor], rename: Callable[[str], str]) -> dict[str, Tensor]:
    """Return a trunk's tensors under another network's names.

    Args:
        trunk: A certified trunk.
        wanted: The other network's tensors, of which names and shapes count.
        rename: Turns one into the trunk's own.

    Raises:
        DensebenchError: The two networks do not have the same tensors.
    """
    places = {name: rename(name) for name in wanted}
    if sorted(places.values()) != sorted(trunk.state) or any(
        wanted[name].squeeze().shape != trunk.state[place].squeeze().shape for name, place in places.items()
    ):
        raise DensebenchError(f"This {trunk.arch} has other tensors than the target's, and cannot be written so.")
    return {name: trunk.state[place].reshape(wanted[name].shape).contiguous() for name, place in places.items()}
