r"""The wide table as LaTeX, for papers: a `tabular` that needs the package booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmark.report import number
from benchmark.report.columns import LEGEND, heads, spans
from benchmark.table import Cell

_ESCAPED = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "±": r"$\pm$",
        number.FLOOR: r"\textsuperscript{\textdagger}",
    }
)
_NAMES = 2  # columns before the numbers


def wide(frame: pd.DataFrame) -> str:
    """Write the table of `benchmark.table.wide`: rows of one architecture stand together."""
    metrics = [] if frame.empty else frame.columns.get_level_values("metric").to_list()
    lines = [
        f"% {LEGEND}",
        r"% Needs \usepackage{booktabs}; with pdfLaTeX \usepackage[T1]{fontenc}, too.",
        rf"\begin{{tabular}}{{{'l' * _NAMES}{'r' * len(metrics)}}}",
        r"\toprule",
        *(_tasks(frame) if metrics else []),
        _row(["checkpoint", "arch", *(heads(frame) if metrics else [])]),
    ]
    above = None
    for key, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        arch, _, checkpoint = key
        if arch != above:
            lines.append(r"\midrule")
            above = arch
        texts = [_emphasised(cell, metric) for metric, cell in zip(metrics, cells, strict=True)]
        lines.append(_row([escape(checkpoint), escape(arch), *texts], escaped=True))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _tasks(frame: pd.DataFrame) -> list[str]:
    """Write the tasks' names over their columns, and a rule below each."""
    cells, rules, first = [""] * _NAMES, [], _NAMES + 1
    for task, span in spans(frame):
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(task)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    return [_row(cells, escaped=True), "".join(rules)]


def _emphasised(cell: Cell | None, metric: str) -> str:
    text = escape(number.cell(cell, metric))
    return rf"\textbf{{{text}}}" if cell is not None and cell.best else text


def _row(texts: Sequence[str], *, escaped: bool = False) -> str:
    return " & ".join(texts if escaped else map(escape, texts)) + r" \\"


def escape(text: str) -> str:
    """Keep a text within its cell: no command, comment, alignment or paragraph of its own."""
    return " ".join(text.split()).translate(_ESCAPED)
