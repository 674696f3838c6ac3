"""What there is: methods, architectures, tasks, formats, tables; read off the folders, without torch."""

from __future__ import annotations

from collections.abc import Callable

from pretrain.errors import unknown


def kinds() -> dict[str, Callable[[], list[str]]]:
    """Return what can be listed."""
    from benchmark import backbones, intake, reproduce, task
    from pretrain import methods

    return {
        "methods": methods.names,
        "archs": backbones.names,
        "tasks": task.names,
        "formats": intake.names,
        "tables": reproduce.tables,
    }


def names(kind: str) -> list[str]:
    """Return the names of one kind.

    Raises:
        UsageError: There is no such kind.
    """
    listings = kinds()
    if kind not in listings:
        raise unknown("list", kind, listings)
    return listings[kind]()
