"""The table that fills while runs are made: redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark.estimate import Clock
from benchmark.report import number
from benchmark.result import Record
from benchmark.stats import Summary, summarise
from benchmark.table import at_floor
from pretrain.pace import in_words

WAITING = "·"
LINE_SECONDS = 30.0


@dataclass
class Cell:
    """One cell: the records of its seeds, and how far the run that is on has come.

    Attributes:
        records: What is measured.
        fraction: Share of the running seed that is done; None when none runs.
    """

    records: list[Record] = field(default_factory=list)
    fraction: float | None = None


class Board:
    """Methods x tasks, the step that is on, and the time left.

    Args:
        methods: The rows.
        tasks: The columns.
        arch: The architecture of all of them.
        clock: Tells the time left.
        console: Where it appears; by default standard output.
    """

    def __init__(
        self,
        methods: Sequence[str],
        tasks: Sequence[str],
        arch: str,
        clock: Clock,
        console: Console | None = None,
    ) -> None:
        self.arch = arch
        self.methods = list(methods)
        self.tasks = list(tasks)
        self.clock = clock
        # The stream is fixed now: what others redirect later is not the table's.
        self.console = console or Console(file=sys.stdout, highlight=False)
        self.cells = {(method, task): Cell() for method in self.methods for task in self.tasks}
        self._doing = ""
        self._fraction = 0.0
        self._spoken = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the table on the screen within the block, and leave it there in full."""
        if not self.console.is_terminal:
            yield
            self.console.print(self.table())
            return
        with Live(self, console=self.console, refresh_per_second=2):
            try:
                yield
            finally:
                self._doing = ""

    def say(self, line: str) -> None:
        """Print a line above the table."""
        self.console.print(line, markup=False, soft_wrap=True)

    def doing(self, what: str) -> None:
        """Say which step has begun."""
        self._doing, self._fraction = what, 0.0
        if not self.console.is_terminal:
            self._speak()

    def advance(self, fraction: float) -> None:
        """Say how much of the step is done."""
        self._fraction = fraction
        self.clock.advance(fraction)
        if not self.console.is_terminal and time.monotonic() - self._spoken > LINE_SECONDS:
            self._speak()

    def running(self, method: str, task: str, fraction: float) -> None:
        """Show in its cell how far a run has come."""
        self.cells[method, task].fraction = fraction
        self.advance(fraction)

    def measured(self, method: str, task: str, record: Record) -> None:
        """Put a record into its cell."""
        cell = self.cells[method, task]
        cell.records.append(record)
        cell.fraction = None
        if not self.console.is_terminal:
            self.say(f"{self._time()} {method:10} {task:32} {describe(cell.records)}")

    def fill(self, records: Iterable[Record]) -> None:
        """Put records into their cells without a word."""
        for record in records:
            self.cells[record.method, record.task].records.append(record)

    def table(self) -> Table:
        """Return the table as it stands."""
        table = Table(show_lines=True, pad_edge=False)
        table.add_column(self.arch)
        for task in self.tasks:
            table.add_column(_title(task), justify="right")
        for method in self.methods:
            table.add_row(method, *(_text(self.cells[method, task]) for task in self.tasks))
        if any(number.FLOOR in _text(cell).plain for cell in self.cells.values()):
            table.caption = f"{number.FLOOR} at the floor (an AP below 1, one class everywhere): ranks no backbones."
        return table

    def __rich__(self) -> Group:
        """Return what stands on the terminal now."""
        return Group(self.table(), Text(self._line() if self._doing else "", style="dim"))

    def _speak(self) -> None:
        self._spoken = time.monotonic()
        self.say(self._line())

    def _line(self) -> str:
        done = f" {self._fraction:4.0%}" if self._fraction else ""
        return f"{self._time()} {self._doing}{done}, about {in_words(self.clock.left())} left"

    def _time(self) -> str:
        minutes, seconds = divmod(int(self.clock.elapsed()), 60)
        return f"[{minutes:2d}:{seconds:02d}]"


def describe(records: Sequence[Record], separator: str = ", ") -> str:
    """Write the numbers of a cell: the headline, every other AP, and AP50 beside an AP.

    Args:
        records: The seeds of one method on one task; at least one.
        separator: What stands between two metrics.
    """
    first = records[0]
    shown = [key for key in first.metrics if key == first.headline or key.endswith("AP")]
    parts = []
    for key in sorted(shown, key=lambda key: key != first.headline):
        summary = summarise(record.metrics[key] for record in records)
        text = f"{first.metric_info.get(key, {}).get('label', key)} {_short(summary, first.scale(key))}"
        half = f"{key}50"
        if half in first.metrics:
            text += f" · AP50 {number.number(summarise(r.metrics[half] for r in records).mean, first.scale(half))}"
        parts.append(text + (number.FLOOR if at_floor(key, records) else ""))
    return separator.join(parts)


def _short(summary: Summary, scale: str) -> str:
    return number.number(summary.mean, scale) if summary.n == 1 else number.summary(summary, scale)


def _text(cell: Cell) -> Text:
    lines = [describe(cell.records, "\n")] if cell.records else []
    if cell.fraction is not None:
        lines.append(f"{cell.fraction:.0%}")
    return Text("\n".join(lines) or WAITING, style="" if cell.records else "dim")


def _title(task: str) -> str:
    """Break a task's name into lines that a narrow column holds: "voc_det", "c4_24k.demo"."""
    parts = task.split("_")
    return "_".join(parts[:2]) + ("\n" + "_".join(parts[2:]) if parts[2:] else "")
