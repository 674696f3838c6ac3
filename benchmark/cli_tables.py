"""The verbs of tables, which need neither torch nor mm*."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from benchmark.options import NOTHING, Records
from benchmark.shell import terminal_width


def reproduce(
    table: Annotated[str, typer.Argument(help="See: densebench ls tables.")],
    plan: Annotated[bool, typer.Option("--plan", help="Print the commands that would fill the gaps, too.")] = False,
    processes: Annotated[int, typer.Option(help="--plan: the processes of each command, one a GPU.", min=1)] = 1,
    records: Records = None,
) -> None:
    """Hold a paper's table against what was measured."""
    from benchmark import reproduce as reproduction
    from benchmark.result import gather

    found = gather(records)
    print(reproduction.report(table, found), end="")
    if plan:
        from benchmark.commands import to_fill

        print(f"\n{to_fill(reproduction.gaps(table, found), processes)}", end="")


def table(
    format: Annotated[
        Literal["md", "csv", "latex", "html"],
        typer.Option(help="md to read, csv for programs, latex for papers, html for a web page."),
    ] = "md",
    records: Records = None,
    tasks: Annotated[
        list[str], typer.Option(help="Only tasks whose name has one of these in it.", metavar="WORD")
    ] = NOTHING,
    modes: Annotated[list[str], typer.Option(help="Only these modes.", metavar="MODE")] = NOTHING,
    compare: Annotated[
        list[str], typer.Option(help="Two fingerprints: tell how the protocols differ, instead.")
    ] = NOTHING,
) -> None:
    """Print the leaderboard of all records."""
    from benchmark.report import csv, html, latex, markdown
    from benchmark.result import FOLDERS, differences, gather
    from benchmark.table import leaderboard, select, wide

    found = gather(records)
    if not found:
        print(f"There are no records in {', '.join(map(str, records or FOLDERS))}.", file=sys.stderr)
    found = select(found, tasks, modes) if found else found
    write = {
        "md": lambda: markdown.wide(wide(found), terminal_width()),
        "csv": lambda: csv.render(leaderboard(found)),
        "latex": lambda: latex.wide(wide(found)),
        "html": lambda: html.page(wide(found), leaderboard(found)),
    }
    print("".join(f"{words}\n" for words in differences(found, compare)) if compare else write[format](), end="")
