"""Whether JSON data is of the type that a field declares: the declaration is the check."""

from __future__ import annotations

import reprlib
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict


def misfit(kind: type, content: dict[str, Any]) -> str:
    """Name the first field of `content` whose value is not of the type that the class declares; empty if none is.

    Args:
        kind: A class whose annotations are of `str`, `int`, `float`, `bool`, `None`, `Any`, `Literal`, and lists, dicts
            and TypedDicts of them.
        content: Fields of it, as JSON gives them.
    """
    declared = _declared(kind)
    for name, value in content.items():
        if not fits(value, declared[name]):
            shown = getattr(declared[name], "__name__", None) if get_origin(declared[name]) is None else None
            return f"its field {name} is {reprlib.repr(value)}, expected {shown or declared[name]}"
    return ""


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value is of a type such as `dict[str, float]` or `int | None`; an int is a float, a bool is not."""
    inner = get_args(kind)
    if kind is Any:
        return True
    if isinstance(kind, UnionType):
        return any(fits(value, part) for part in inner)
    if get_origin(kind) is Literal:
        return value in inner
    if is_typeddict(kind):
        return isinstance(value, dict) and value.keys() == _declared(kind).keys() and not misfit(kind, value)
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(fits(entry, inner[1]) for entry in value.values())
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(entry, inner[0]) for entry in value)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


@cache
def _declared(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
