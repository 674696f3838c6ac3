"""Values of settings as a user types them."""

from __future__ import annotations

import ast
from typing import Any, get_args, get_origin

from pretrain.errors import UsageError

LARGEST = 1e30  # what is multiplied with such a number leaves the range of float32


def parse(key: str, text: str, kind: Any, default: Any) -> Any:
    """Read a value typed by the user.

    Words stand for themselves; numbers, tuples, booleans and None are written as in Python.

    Args:
        key: The setting's name.
        text: The value as typed.
        kind: The setting's annotation, such as `int | None`.
        default: A value that it may have.

    Raises:
        UsageError: The value is not of this kind, or too large to compute with.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    try:
        return _as(kind, value)
    except TypeError:
        name = (kind.__name__ if isinstance(kind, type) else str(kind)).replace(" | ", " or ")
        example = "" if default is None else f" (such as {default!r})"
        raise UsageError(f"The setting {key}={text} should be of type {name}{example}.") from None
    except OverflowError:
        raise UsageError(f"The setting {key}={text} should be a finite number, of at most {LARGEST:g}.") from None


def _as(kind: Any, value: Any) -> Any:
    """Return the value as one of a kind; TypeError where it is none, OverflowError where it is too large."""
    if type(None) in get_args(kind):
        if value is None:
            return None
        (kind,) = set(get_args(kind)) - {type(None)}
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if not isinstance(value, tuple | list):
            raise TypeError
        if parts[-1] is ...:
            parts = parts[:1] * len(value)
        if len(parts) != len(value):
            raise TypeError
        return tuple(_as(part, one) for part, one in zip(parts, value, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError
    if kind is float and not abs(value) <= LARGEST:
        raise OverflowError
    return value
