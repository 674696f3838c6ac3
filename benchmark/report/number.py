"""How numbers are written: the one place where they are rounded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.stats import Summary

if TYPE_CHECKING:
    from benchmark.table import Cell

MISSING = "-"
FLOOR = "†"
DEVIATES = "‡"  # not the task as it stands: on fewer images, or with a setting changed


def decimals(scale: str) -> int:
    """Return how many decimals are shown of a number in this unit: one of a percentage, three of metres and ratios."""
    return 1 if scale == "percent" else 3


def number(value: float, scale: str) -> str:
    """Write one value; a dash where there is none."""
    return MISSING if math.isnan(value) else f"{value:.{decimals(scale)}f}"


def gain(value: float, scale: str) -> str:
    """Write a difference with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.{decimals(scale)}f}"


def rank(value: int | None) -> str:
    """Write a rank; a dash where there is none."""
    return str(value) if isinstance(value, int) else MISSING


def summary(value: Summary, scale: str) -> str:
    """Write mean ± standard deviation and the number of seeds: "56.7 ± 0.2 (5)"."""
    spread = "" if math.isnan(value.sd) else f" ± {number(value.sd, scale)}"
    return f"{number(value.mean, scale)}{spread} ({value.n})"


def cell(value: Cell | None) -> str:
    """Write a cell of the wide table, with its marks."""
    if value is None:
        return MISSING
    return summary(value.summary, value.scale) + _marks(value.floor, value.conditions.deviates)


def row(values: Mapping[Any, Any]) -> str:
    """Write the mean of a row of the long table, with its marks."""
    measured = Summary(values["mean"], values["sd"], values["n"])
    return summary(measured, values["scale"]) + _marks(values["floor"], values["partial"] or bool(values["changed"]))


def _marks(floor: bool, deviates: bool) -> str:
    return (FLOOR if floor else "") + (DEVIATES if deviates else "")
