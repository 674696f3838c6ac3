"""Plain lines about long work: how often one is due, and how a duration reads."""

from __future__ import annotations

import time

_AT_FIRST = 600.0  # seconds in which lines come as often as is asked
_LATER = 60.0  # seconds between them from then on


class Pace:
    """When the next line is due: often at first, once a minute after ten minutes.

    Args:
        seconds: Between two lines at first.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begin = self._told = time.monotonic()

    def due(self) -> bool:
        """Say whether it is time for a line; it then counts as told."""
        now = time.monotonic()
        wanted = self.seconds if now - self._begin < _AT_FIRST else max(self.seconds, _LATER)
        if now - self._told < wanted:
            return False
        self._told = now
        return True


def in_words(seconds: float) -> str:
    """Write a duration as a reader would say it: "3.5 h", "8 min", "40 s"."""
    if seconds >= 90 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{max(round(seconds / 5) * 5, 5)} s"
