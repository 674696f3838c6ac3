"""Foreign text in tables: what a name may not do to a page or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Make every character that does not print (control, line end, direction, half of a pair) a space."""
    return "".join(character if character.isprintable() else " " for character in text)
