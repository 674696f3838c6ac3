"""Progress of a training run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pretrain.pace import Pace, in_words


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show iteration, speed in images a second, time left and the loss.

    Args:
        title: What is being trained.
        batch_size: Images a step, over all ranks.
        seconds: A plain line is printed this often when the output is not a terminal, after ten minutes once a minute.
        quiet: Show nothing (another display is on the screen).
    """

    priority = "LOW"

    def __init__(self, title: str, batch_size: int, seconds: float = 15.0, quiet: bool = False) -> None:
        self.title = title
        self.batch_size = batch_size
        self.seconds = seconds
        self.quiet = quiet
        self._bar: Progress | None = None
        self._start: tuple[float, int] | None = None

    def before_train(self, runner: Any) -> None:
        """Open the bar."""
        self.quiet = self.quiet or not is_main_process()
        self._pace = Pace(self.seconds)
        if self.quiet or not sys.stderr.isatty():
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(self.title, total=runner.max_iters, completed=runner.iter, note="")
        self._bar.start()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note time and iteration of the first step: only here has a saved state been taken up."""
        if self._start is None:
            self._start = time.monotonic(), runner.iter

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Move the bar, or print a line now and then."""
        if self.quiet or self._start is None:
            return
        begin, first = self._start
        done = runner.iter + 1
        speed = (done - first) / max(time.monotonic() - begin, 1e-9)
        loss = outputs["loss"].item() if outputs and "loss" in outputs else float("nan")
        note = f"{speed * self.batch_size:.1f} images/s, loss {loss:.3f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif self._pace.due() or done == runner.max_iters:
            left = (runner.max_iters - done) / speed
            rest = f", about {in_words(left)} left" if left else ""
            print(f"{self.title}: {done}/{runner.max_iters}, {note}{rest}", file=sys.stderr)

    def close(self) -> None:
        """Close the bar, however training ended."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
