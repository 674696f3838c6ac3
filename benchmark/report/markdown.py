"""Tables as Markdown, padded so that they read in a terminal as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.report import number
from benchmark.report.columns import LEGEND, titles
from benchmark.stats import Summary

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
            number.summary(Summary(row["mean"], row["sd"], row["n"]), row["metric"]),
            number.gain(row["gain_over_random"], row["metric"]),
            str(row["rank"]),
            row["fingerprint"],
        ]
        for row in frame.to_dict("records")
    ]
    return render(header, rows)


def wide(frame: pd.DataFrame) -> str:
    """Write the table of `benchmark.table.wide`: a row for each checkpoint, a column for each task."""
    if frame.empty:
        return render(["checkpoint", "arch"], [])
    metrics = frame.columns.get_level_values("metric")
    rows = []
    for key, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        arch, _, checkpoint = key
        texts = [_emphasised(cell, metric) for metric, cell in zip(metrics, cells, strict=True)]
        rows.append([escape(checkpoint), escape(arch), *texts])
    return render(["checkpoint", "arch", *titles(frame)], rows, escaped=True) + f"\n{LEGEND}\n"


def _emphasised(cell: Cell | None, metric: str) -> str:
    text = escape(number.cell(cell, metric))
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
    """Keep a text within its cell: no pipe, backslash or line end of its own, and no HTML."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
