"""Counting work on the screen: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pretrain.pace import Pace, in_words

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
    begin, pace = time.monotonic(), Pace(EVERY_SECONDS)

    def tell(done: int, total: int) -> None:
        if pace.due() or done == total:
            left = (time.monotonic() - begin) / max(done, 1) * (total - done)
            rest = f"about {in_words(left)} left" if done < total else "done"
            print(f"{title}: {done}/{total}, {rest}", file=sys.stderr)

    yield tell
