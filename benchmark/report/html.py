"""The leaderboard as one web page: no script, nothing loaded from elsewhere, and every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import pandas as pd

from benchmark.report import number
from benchmark.report.columns import LEGEND, heads, protocols, spans
from benchmark.report.printable import printable
from benchmark.table import Cell

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --better: #0a7d38; --worse: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --better: #5fd38d; --worse: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 100rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: right; white-space: nowrap; }
th.name, td.name { text-align: left; }
thead tr.tasks th { border-bottom: 0; text-align: center; }
tbody tr:hover { background: var(--soft); }
tbody tr.first td, tbody tr.first th { border-top: 2px solid var(--line); }
small { display: block; opacity: .75; }
.better { color: var(--better); opacity: 1; } .worse { color: var(--worse); opacity: 1; }
p { max-width: 60rem; }
p.protocol { margin: .2rem 0; font-size: 85%; }
"""
_LONG = ("task", "mode", "metric", "arch", "checkpoint")


def page(frame: pd.DataFrame, long: pd.DataFrame) -> str:
    """Write a page with the tables of `benchmark.table.wide` and `benchmark.table.leaderboard`."""
    root = Element("html", lang="en")
    head = SubElement(root, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = "densebench: leaderboard"
    SubElement(head, "style").text = _STYLE
    body = SubElement(root, "body")
    SubElement(body, "h1").text = "Leaderboard"
    SubElement(body, "p").text = f"{LEGEND} Below a number: how the row stands to random initialisation."
    _wide(body, frame)
    for text in protocols(frame):
        SubElement(body, "p", {"class": "protocol"}).text = printable(text)
    SubElement(body, "h2").text = "Every metric"
    SubElement(body, "p").text = "Ranks hold within one protocol and architecture; a row at the floor has none."
    _long(body, long)
    ElementTree.indent(root)
    return f"<!doctype html>\n{ElementTree.tostring(root, encoding='unicode', method='html')}\n"


def _wide(body: Element, frame: pd.DataFrame) -> None:
    head, rows = _table(body)
    tasks = SubElement(head, "tr", {"class": "tasks"})
    SubElement(tasks, "th", colspan="2")
    for task, span in spans(frame) if len(frame.columns) else []:
        SubElement(tasks, "th", colspan=str(span), scope="colgroup").text = printable(task)
    _header(head, ["checkpoint", "arch", *(heads(frame) if len(frame.columns) else [])], names=2)
    above = None
    for key, cells in zip(frame.index.to_list(), frame.itertuples(index=False, name=None), strict=True):
        arch, _, checkpoint = key
        line = SubElement(rows, "tr", {"class": "first"} if arch != above else {})
        above = arch
        SubElement(line, "th", {"class": "name", "scope": "row"}).text = printable(checkpoint)
        SubElement(line, "td", {"class": "name"}).text = printable(arch)
        for cell in cells:
            _cell(SubElement(line, "td"), cell)


def _cell(place: Element, cell: Cell | None) -> None:
    text = number.cell(cell)
    if cell is None:
        place.text = text
    elif cell.best:
        SubElement(place, "b").text = text
    else:
        place.text = text
    if cell is not None and cell.against_random:
        SubElement(place, "small", {"class": cell.against_random}).text = cell.against_random


def _long(body: Element, frame: pd.DataFrame) -> None:
    head, rows = _table(body)
    _header(head, [*_LONG, "mean ± sd (n)", "over random", "rank", "protocol"], names=len(_LONG))
    for row in frame.to_dict("records"):
        line = SubElement(rows, "tr")
        for name in _LONG:
            SubElement(line, "td", {"class": "name"}).text = printable(str(row[name]))
        texts: Iterable[str] = (
            number.row(row),
            number.gain(row["gain_over_random"], row["scale"]),
            number.rank(row["rank"]),
            str(row["fingerprint"]),
        )
        for text in texts:
            SubElement(line, "td").text = printable(text)


def _table(body: Element) -> tuple[Element, Element]:
    table = SubElement(SubElement(body, "div", {"class": "wide"}), "table")
    return SubElement(table, "thead"), SubElement(table, "tbody")


def _header(head: Element, names_of_columns: Sequence[str], names: int) -> None:
    line = SubElement(head, "tr")
    for number_of_column, text in enumerate(names_of_columns):
        attributes = {"scope": "col"} | ({"class": "name"} if number_of_column < names else {})
        SubElement(line, "th", attributes).text = printable(text)
