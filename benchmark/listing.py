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
    """Return what a program reads: names, and of methods, tasks and tables what is known of them."""
    listed = names(kind)
    return list(map(_FACTS[kind], listed)) if kind in _FACTS else listed


def lines(kind: str, width: int | None = None) -> list[str]:
    """Return what is printed, a line each: columns under a heading.

    Args:
        kind: What is listed.
        width: Of the terminal: columns that are too many for it are left out, and named; None for no limit.
    """
    if kind not in _FACTS:
        return names(kind)
    table = [{name: _text(value) for name, value in one.items()} for one in describe(kind)]
    columns = list(table[0])
    spare = [column for column in _SPARE if column in columns]
    left_out = []
    while width is not None and spare and _width(table, columns) > width:
        left_out.append(spare.pop(0))
        columns.remove(left_out[-1])
    rows = [columns, *([row[column] for column in columns] for row in table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    said = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*said, f"(--json has the rest: {', '.join(left_out)})"] if left_out else said


def _width(table: list[dict[str, str]], columns: list[str]) -> int:
    return sum(max(len(column), *(len(row[column]) for row in table)) + 2 for column in columns) - 2


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)


def _method(name: str) -> dict[str, Any]:
    from pretrain import methods

    return methods.facts(name)


def _task(name: str) -> dict[str, Any]:
    from benchmark import task_facts

    return task_facts.facts(name)


def _table(name: str) -> dict[str, Any]:
    """Return how many numbers a paper's table has, and how many of them can be measured with what there is."""
    from benchmark import commands, paper

    rows, recipes = [row for row in paper.load() if row.table == name], commands.known()
    return {
        "name": name,
        "cells": len(rows),
        "runnable": sum(not commands.lack(row, recipes) for row in rows),
        "tasks": sorted({row.task for row in rows}),
    }


_FACTS: dict[str, Callable[[str], dict[str, Any]]] = {"methods": _method, "tasks": _task, "tables": _table}
_SPARE = ("cost", "paper", "arxiv", "families", "modes", "authors", "data", "tasks", "recipes")
"""Columns, in the order in which a narrow terminal leaves them out."""
