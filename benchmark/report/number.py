"""How numbers are written: the one place where they are rounded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmark.stats import Summary

if TYPE_CHECKING:
    from benchmark.table import Cell

MISSING = "-"
FLOOR = "†"
_FINE = {"rms", "rel"}  # metres and ratios; all else is in percent


def decimals(metric: str) -> int:
    """Return how many decimals a metric is shown with."""
    return 3 if metric in _FINE else 1


def number(value: float, metric: str) -> str:
    """Write one value; a dash where there is none."""
    return MISSING if math.isnan(value) else f"{value:.{decimals(metric)}f}"


def gain(value: float, metric: str) -> str:
    """Write a difference with its sign."""
    return MISSING if math.isnan(value) else f"{value:+.{decimals(metric)}f}"


def summary(value: Summary, metric: str) -> str:
    """Write mean ± standard deviation and the number of seeds: "56.7 ± 0.2 (5)"."""
    spread = "" if math.isnan(value.sd) else f" ± {number(value.sd, metric)}"
    return f"{number(value.mean, metric)}{spread} ({value.n})"


def cell(value: Cell | None, metric: str) -> str:
    """Write a cell of the wide table; a dagger marks the floor."""
    if value is None:
        return MISSING
    return summary(value.summary, metric) + (FLOOR if value.floor else "")
