"""Counting work on the screen: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY_SECONDS = 10.0


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is called with (done, of how many) as the work goes on.

    Args:
        title: What is counted.
    """
    if sys.stderr.isatty():
        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    begin = printed = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= EVERY_SECONDS or done == total:
            printed = now
            left = (now - begin) / max(done, 1) * (total - done)
            print(f"{title}: {done}/{total}, {left:.0f} s left", file=sys.stderr)

    yield tell
