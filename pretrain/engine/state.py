"""Exact resume: one file holds all that a training run needs to go on as if nothing had happened."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from pretrain.errors import DensebenchError, UsageError, one_line
from pretrain.saving import write_torch


def _wished_seconds() -> float:
    said = os.environ.get("DENSEBENCH_SAVE_SECONDS", "60")
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UsageError(f"DENSEBENCH_SAVE_SECONDS is a number of seconds, such as 60; it is {said!r:.40}.")
    return seconds


@HOOKS.register_module()
class StateHook(Hook):
    """Save the training state atomically, and take it up again before the first step.

    The state is model (with its queues and EMA teachers), optimizer, schedules and iteration.
    Data and random draws are keyed by the iteration (see `sampling`) and need no state. The file holds tensors
    and plain data only.

    Ctrl-C, or SIGTERM (as Slurm sends before it takes a node back), finishes the step under way, saves, and then
    interrupts; a second one interrupts at once.

    # NOTE: mmengine's own resume falls back to full unpickling and restores no random state.

    Args:
        path: The state's file. It is saved whenever 60 seconds have passed since the last save, or as many as the
            environment's DENSEBENCH_SAVE_SECONDS says.

    Attributes:
        saved: The steps that the file holds the outcome of; 0 where there is none.

    Raises:
        UsageError: What the environment says is no number of seconds.
    """

    priority = "VERY_LOW"

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.seconds = _wished_seconds()
        self.interrupted = False
        self.saved = 0
        self._previous_handlers: dict[signal.Signals, Any] = {}
        self._saved_at = 0.0

    def before_train(self, runner: Any) -> None:
        """Take up a saved state, and listen to Ctrl-C and SIGTERM."""
        if self.path.is_file():
            self._restore(runner)
        self._saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous_handlers[number] = signal.signal(number, self._on_interrupt)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Save when it is time to, or when the user wants to stop."""
        done = runner.iter + 1
        due = time.monotonic() - self._saved_at > self.seconds
        wish = torch.tensor([float(self.interrupted), float(due)])
        all_reduce(wish, op="max")
        interrupted, due = (bool(flag) for flag in wish)
        if interrupted or (due and done < runner.max_iters):
            self._save(runner, done)
        if interrupted:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Hand Ctrl-C and SIGTERM back, however training ended."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers.clear()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def _save(self, runner: Any, done: int) -> None:
        if is_main_process():
            state = {
                "iteration": done,
                "model": unwrapped(runner.model).state_dict(),
                "optimizer": runner.optim_wrapper.state_dict(),
                "schedules": [_plain(schedule.state_dict()) for schedule in runner.param_schedulers or []],
            }
            write_torch(self.path, state)
        self.saved, self._saved_at = done, time.monotonic()

    def _restore(self, runner: Any) -> None:
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            unwrapped(runner.model).load_state_dict(state["model"], strict=True)
            runner.optim_wrapper.load_state_dict(state["optimizer"])
            for schedule, saved in zip(runner.param_schedulers or [], state["schedules"], strict=True):
                schedule.load_state_dict(saved)
        except Exception as error:
            raise DensebenchError(
                f"{self.path} does not hold the state of this run: {one_line(error)}.",
                "Remove it to start this run anew.",
            ) from error
        self.saved = runner.train_loop._iter = state["iteration"]
        runner.optim_wrapper.initialize_count_status(runner.model, state["iteration"], runner.max_iters)


def unwrapped(model: Any) -> Any:
    """Return a Runner's model, out of its distributed wrapper where it has one."""
    return model.module if is_model_wrapper(model) else model


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """Drop what a schedule's state holds beside plain data."""
    kinds = (bool, int, float, str, list, tuple, dict, type(None))
    return {key: value for key, value in state.items() if isinstance(value, kinds)}
