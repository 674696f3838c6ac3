"""What a pickle held as plain data: nested dicts of tensors and of what a screen may show."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from pretrain.pickle_objects import Array, Stub, View
from pretrain.stored import Stored

MOST = 1_000_000  # entries, for a few bytes can say "ten times the last list" again and again
LONGEST = 10_000  # entries of a list that may hold tensors; longer ones are labels and the like
DEEPEST = 40


def printable(name: str) -> str:
    """Return a name from a file as it may be shown: what no screen should be sent is spelt out."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def plain(value: Any) -> Any:
    """Turn what a pickle held into nested dicts with `Stored` tensors; of an object, its arguments and state.

    Raises:
        Exception: It is nested too deeply, has too many entries, or a tensor does not lie within its storage.
    """
    return _Plain()(value)


class _Plain:
    """Turn what was read into nested dicts; counts what it turns."""

    def __init__(self) -> None:
        self.entries = 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > DEEPEST or self.entries > MOST:
            raise pickle.UnpicklingError("nested deeper, or of more entries, than a checkpoint is")
        if isinstance(value, Array):
            value = value.value
        if isinstance(value, View):
            return value.stored()
        if isinstance(value, Stub):
            value = value.parts
        if isinstance(value, list | tuple) and len(value) <= LONGEST:
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            return {printable(str(key)): self(one, depth + 1) for key, one in value.items()}
        return value if isinstance(value, Stored | str | int | float | bool | None) else type(value).__name__
