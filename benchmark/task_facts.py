"""What tasks are, read off their files without running them (or importing mmengine): for listings."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from benchmark.task import FOLDER


def facts(name: str) -> dict[str, Any]:
    """Return a task's name, data, kind, modes, batch, iterations and paper; None for what is not written out."""
    found = _read(FOLDER / f"{name}.py")
    about, schedule = found.get("benchmark", {}), found.get("schedule", {})
    return {
        "name": name,
        "data": about.get("data"),
        "kind": about.get("kind"),
        "modes": ["finetune", "frozen", *(["linear"] if "linear" in found else [])],
        "batch": schedule.get("batch_size"),
        "iterations": schedule.get("iterations"),
        "paper": about.get("paper"),
    }


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the blocks of a task's file over those of its `_base_` files."""
    written = {
        statement.targets[0].id: _value(statement.value)
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    bases = written.pop("_base_", [])
    found: dict[str, dict[str, Any]] = {}
    for block in [*(_read(path.parent / base) for base in ([bases] if isinstance(bases, str) else bases)), written]:
        for name, values in block.items():
            found[name] = {**found.get(name, {}), **values} if isinstance(values, dict) else {}
    return found


def _value(written: ast.expr) -> Any:
    """Return what is written out: a literal, or `dict(...)` of such; None for the rest."""
    if isinstance(written, ast.Call):
        return {one.arg: _value(one.value) for one in written.keywords if one.arg}
    try:
        return ast.literal_eval(written)
    except ValueError:
        return None
