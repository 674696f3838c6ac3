"""The errors a user sees: one clear sentence, how to mend it, and an exit status."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

MOST_CHOICES = 40  # of longer lists only the closest are shown


class DensebenchError(Exception):
    """The work failed for a reason the user can act on (exit status 1).

    Args:
        message: One sentence that names the file or value, what was expected and what was found.
        mend: How to mend it; empty where the message already says so.
    """

    status = 1

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message, mend)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".strip()


class UsageError(DensebenchError):
    """The command was typed wrongly (exit status 2)."""

    status = 2


def one_line(error: BaseException) -> str:
    """Return what an exception says in one line of at most 200 characters; its type where it says nothing."""
    return textwrap.shorten(str(error), 200, placeholder=" ...") or type(error).__name__


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """Describe a name that does not exist, with the closest one that does.

    Args:
        kind: What was looked for, in the singular: "method", "task", "recipe".
        name: What was typed.
        choices: The names that exist.
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    shown = known if len(known) <= MOST_CHOICES else close or known[:5]
    rest = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
    return UsageError(f"There is no {kind} '{name}'.", f"{guess}Choices: {', '.join(shown)}{rest}.")
