"""How long the rest of a plan will take: planned costs, corrected by what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One piece of a plan.

    Attributes:
        kind: Steps of one kind take about as long as each other.
        seconds: How long it is planned to take.
    """

    kind: str
    seconds: float


class Clock:
    """Tell the time left while steps are worked off one after the other.

    Args:
        steps: The plan: each step's name and cost.
        now: Where the time is read.
    """

    def __init__(self, steps: Mapping[str, Step], now: Callable[[], float] = time.monotonic) -> None:
        self._steps = dict(steps)
        self._now = now
        self._ahead = dict(steps)
        self._measured: dict[str, list[float]] = {}
        self._planned_done = 0.0
        self._taken = 0.0
        self._current: str | None = None
        self._fraction = 0.0
        self.begun = self._at = now()

    def start(self, name: str) -> None:
        """Begin a step."""
        self._current, self._fraction, self._at = name, 0.0, self._now()

    def advance(self, fraction: float) -> None:
        """Say how much of the current step is done."""
        self._fraction = fraction

    def finish(self, name: str) -> None:
        """End a step; one that was never started took no time and teaches nothing."""
        step = self._ahead.pop(name, None)
        if step is not None and self._current == name:
            taken = self._now() - self._at
            self._measured.setdefault(step.kind, []).append(taken)
            self._planned_done += step.seconds
            self._taken += taken
        if self._current == name:
            self._current = None

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return self._now() - self.begun

    def left(self) -> float:
        """Return the seconds that the rest will take."""
        return sum(self._rest(name, step) for name, step in self._ahead.items())

    def _rest(self, name: str, step: Step) -> float:
        expected = self._expected(step)
        if name != self._current:
            return expected
        taken = self._now() - self._at
        if self._fraction > 0.1:
            expected = taken / self._fraction
        return max(expected - taken, expected * (1 - self._fraction) if self._fraction else 0.0)

    def _expected(self, step: Step) -> float:
        """Return the mean of the steps of this kind so far, or the plan at the speed seen so far."""
        if known := self._measured.get(step.kind):
            return sum(known) / len(known)
        return step.seconds * (self._taken / self._planned_done if self._planned_done else 1.0)
