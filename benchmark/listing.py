"""What there is: methods, architectures, tasks, formats, tables; read off the folders, without torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pretrain.errors import unknown


def kinds() -> dict[str, Callable[[], list[str]]]:
    """Return what can be listed."""
    from benchmark import backbones, intake, paper, task
    from pretrain import methods

    return {
        "methods": methods.names,
        "archs": backbones.names,
        "tasks": task.names,
        "formats": intake.names,
        "tables": paper.tables,
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


def describe(kind: str) -> list[Any]:
    """Return what a program reads: the names; of methods, also their paper, families, recipes and cost."""
    from pretrain import methods

    return [methods.facts(name) for name in names(kind)] if kind == "methods" else names(kind)


def lines(kind: str) -> list[str]:
    """Return what is printed, a line each; of methods, in columns under a heading."""
    if kind != "methods":
        return names(kind)
    rows = [("method", "paper", "arXiv", "families", "cost of an image", "recipes")]
    for one in describe(kind):
        paper = f"{one['authors']} {one['year']}" if one["year"] else "-"
        families, recipes = ", ".join(one["families"]), ", ".join(one["recipes"])
        rows.append((one["name"], paper, one["arxiv"] or "-", families, one["cost"] or "-", recipes))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
