"""How the columns of the wide table are called, and what its marks mean: the same words in every format."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from typing import TYPE_CHECKING, cast

from benchmark.report import number

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.table import Conditions

LEGEND = (
    "Mean ± sample standard deviation (number of fine-tuning seeds). Bold: the best mean under one protocol "
    f"and architecture. {number.FLOOR}: at the floor, an average precision below 1 or a segmentation that "
    f"finds its classes no better than one class everywhere would: too low to compare by. {number.DEVIATES}: not "
    "the task as it stands, but with a setting changed, or a paper's protocol on fewer images than the official set."
)


def titles(frame: pd.DataFrame) -> list[str]:
    """Name the columns of `benchmark.table.wide`: the protocol's hash appears where one task has several."""
    return [f"{task} {head}" for (task, *_), head in zip(_columns(frame), heads(frame), strict=True)]


def heads(frame: pd.DataFrame) -> list[str]:
    """Name the columns without their task, as they stand below it: "linear mIoU"."""
    shown = [(task, mode, metric) for task, mode, _, metric in _columns(frame)]
    names = []
    for task, mode, fingerprint, metric in _columns(frame):
        words = [*([] if mode == "finetune" else [mode]), metric]
        names.append(" ".join(words) + (f" ({fingerprint})" if shown.count((task, mode, metric)) > 1 else ""))
    return names


def spans(frame: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the tasks and how many columns each has."""
    return [(task, len(list(columns))) for task, columns in groupby(_columns(frame), key=lambda column: column[0])]


def protocols(frame: pd.DataFrame) -> list[str]:
    """Describe each protocol that the table shows in a line: task, data, how many images were tested, precision."""
    if frame.empty:
        return []
    found: dict[tuple[str, str, str], set[Conditions]] = {}
    for (task, mode, fingerprint, _), column in zip(_columns(frame), frame.to_numpy().T, strict=True):
        known = found.setdefault((fingerprint, task, mode), set())
        known.update(cell.conditions for cell in column if cell is not None)
    return [f"{key[0]}: {', '.join(key[1:])}; {_described(conditions)}" for key, conditions in found.items()]


def _described(conditions: Collection[Conditions]) -> str:
    names = " and ".join(sorted({one.data for one in conditions if one.data})) or "not named"
    counts = {one.evaluated for one in conditions if one.evaluated is not None}
    changed = sorted({change for one in conditions for change in one.changed})
    parts = [
        f"data {names}" + "".join(f", {count} images tested" for count in sorted(counts)),
        " and ".join(sorted({one.precision for one in conditions})),
        *(["partial"] if any(one.partial for one in conditions) else []),
        *([f"changed: {', '.join(changed)}"] if changed else []),
    ]
    return "; ".join(parts)


def _columns(frame: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    return cast("list[tuple[str, str, str, str]]", frame.columns.to_list())
