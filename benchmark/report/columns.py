"""How the columns of the wide table are called, and what its marks mean: the same words in every format."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, cast

from benchmark.report import number

if TYPE_CHECKING:
    import pandas as pd

LEGEND = (
    "Mean ± sample standard deviation (number of fine-tuning seeds). Bold: the best mean under one protocol "
    f"and architecture. {number.FLOOR}: at the floor, an average precision below 1 or a segmentation that "
    "finds its classes no better than one class everywhere would: too low to compare by."
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
        names.append(" ".join(words) + (f" [{fingerprint}]" if shown.count((task, mode, metric)) > 1 else ""))
    return names


def spans(frame: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the tasks and how many columns each has."""
    return [(task, len(list(columns))) for task, columns in groupby(_columns(frame), key=lambda column: column[0])]


def _columns(frame: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    return cast("list[tuple[str, str, str, str]]", frame.columns.to_list())
