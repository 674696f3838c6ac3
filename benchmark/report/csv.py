"""The leaderboard as CSV, for programs: full floats, nothing rounded."""

from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd

from benchmark.report.printable import printable

_FORMULA = ("=", "+", "-", "@", "'")


def render(frame: pd.DataFrame) -> str:
    """Write a table as CSV with Unix line ends; NaN is an empty cell.

    Floats are in their shortest exact form. A text that a spreadsheet would take for a formula gets an
    apostrophe before it (and so does one that begins with an apostrophe, so that nothing is ambiguous). What does
    not print becomes a space.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if pd.isna(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)
