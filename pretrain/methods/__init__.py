"""Self-supervised methods, one a file; the file's name is the method's name on the command line."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING

from pretrain.errors import unknown

if TYPE_CHECKING:
    from pretrain.method import Method


def names() -> list[str]:
    """Return the methods there are."""
    return sorted(item.name for item in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Method]:
    """Return the method of this name: the one subclass of `Method` its file defines.

    Raises:
        UsageError: There is no such method.
    """
    if name not in names():
        raise unknown("method", name, names())
    from pretrain.method import Method  # `names` works without torch

    module = importlib.import_module(f"{__name__}.{name}")
    (method,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    )
    return method
