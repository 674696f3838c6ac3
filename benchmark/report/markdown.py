"""Tables as Markdown, padded so that they read in a terminal as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.report import number
from benchmark.report.columns import LEGEND, heads, protocols, titles
from benchmark.report.printable import printable

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.table import Cell


def leaderboard(frame: pd.DataFrame) -> str:
    """Write the long table of `benchmark.table.leaderboard`."""
    header = [
        "task",
        "mode",
        "metric",
        "arch",
        "checkpoint",
        "mean ± sd (n)",
        "over random",
        "rank",
        "protocol",
    ]
    rows = [
        [
            *(row["task"], row["mode"], row["metric"], row["arch"], row["checkpoint"]),
            number.row(row),
            number.gain(row["gain_over_random"], row["scale"]),
            number.rank(row["rank"]),
            row["fingerprint"],
        ]
        for row in frame.to_dict("records")
    ]
    return render(header, rows)


def wide(frame: pd.DataFrame, width: int | None = None) -> str:
    """Write the table of `benchmark.table.wide`: a row for each checkpoint, a column for each task.

    Args:
        frame: The table.
        width: Of the terminal: a table that is wider becomes one for each task; None for no limit.
    """
    if frame.empty:
        return render(["checkpoint", "arch"], [])
    table = _table(frame, titles(frame))
    if width is not None and len(table.partition("\n")[0]) > width:
        tasks = frame.columns.get_level_values("task")
        parts = {task: frame.loc[:, tasks == task].dropna(how="all") for task in dict.fromkeys(tasks)}
        table = "\n".join(f"{escape(task)}\n\n{_table(part, heads(part))}" for task, part in parts.items())
    return table + f"\n{LEGEND}\n\n" + "".join(f"- {escape(line)}\n" for line in protocols(frame))


def _table(frame: pd.DataFrame, names: Sequence[str]) -> str:
    rows = []
    for key, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        arch, _, checkpoint = key
        rows.append([escape(checkpoint), escape(arch), *map(_emphasised, cells)])
    return render(["checkpoint", "arch", *names], rows, escaped=True)


def _emphasised(cell: Cell | None) -> str:
    text = number.cell(cell)
    return f"**{text}**" if cell is not None and cell.best else text


def render(header: Sequence[str], rows: Sequence[Sequence[str]], *, escaped: bool = False) -> str:
    """Write a Markdown table.

    Args:
        header: The columns' names.
        rows: As many texts each.
        escaped: The rows' texts are Markdown already.
    """
    texts = [[escape(name) for name in header], *([t if escaped else escape(t) for t in row] for row in rows)]
    widths = [max(3, *(len(row[i]) for row in texts)) for i in range(len(header))]
    lines = ["| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |" for row in texts]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Keep a text within its cell: no pipe or line end of its own, no emphasis, code, link or HTML."""
    flat = " ".join(printable(text).split())
    return re.sub(r"([\\|`*\[])", r"\\\1", flat).replace("<", "&lt;").replace("://", ":\\//")
