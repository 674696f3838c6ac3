r"""The wide table as LaTeX, for papers: a `tabular` that needs the package booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmark.report import number
from benchmark.report.columns import LEGEND, heads, protocols, spans
from benchmark.report.printable import printable
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
        "[": "{[}",  # after a line of a table it would begin an option,
        "*": "{*}",  # and this its variant
        number.FLOOR: r"\textsuperscript{\textdagger}",
        number.DEVIATES: r"\textsuperscript{\textdaggerdbl}",
    }
)
_NAMES = 2  # columns before the numbers


def wide(frame: pd.DataFrame) -> str:
    """Write the table of `benchmark.table.wide`, and what its marks and protocols are below it.

    Rows of one architecture stand together.
    """
    lines = [
        r"% Needs \usepackage{booktabs}; with pdfLaTeX \usepackage[T1]{fontenc}, too.",
        rf"\begin{{tabular}}{{{'l' * _NAMES}{'r' * len(frame.columns)}}}",
        r"\toprule",
        *(_tasks(frame) if len(frame.columns) else []),
        _row(["checkpoint", "arch", *(heads(frame) if len(frame.columns) else [])]),
    ]
    above = None
    for key, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        arch, _, checkpoint = key
        if arch != above:
            lines.append(r"\midrule")
            above = arch
        lines.append(_row([escape(checkpoint), escape(arch), *map(_emphasised, cells)], escaped=True))
    notes = [rf"\par {escape(line)}" for line in (LEGEND, *protocols(frame))]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"{\footnotesize", *notes, r"\par}"]) + "\n"


def _tasks(frame: pd.DataFrame) -> list[str]:
    """Write the tasks' names over their columns, and a rule below each."""
    cells, rules, first = [""] * _NAMES, [], _NAMES + 1
    for task, span in spans(frame):
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(task)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    return [_row(cells, escaped=True), "".join(rules)]


def _emphasised(cell: Cell | None) -> str:
    text = escape(number.cell(cell))
    return rf"\textbf{{{text}}}" if cell is not None and cell.best else text


def _row(texts: Sequence[str], *, escaped: bool = False) -> str:
    return " & ".join(texts if escaped else map(escape, texts)) + r" \\"


def escape(text: str) -> str:
    """Keep a text within its cell: no command, comment, alignment or paragraph of its own."""
    return " ".join(printable(text).split()).translate(_ESCAPED)
