"""What makes two numbers comparable: a dict of the protocol, its hash, and their differences in words."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from pretrain.errors import DensebenchError


def canonical(value: Any) -> Any:
    """Return `value` as plain JSON data in which equal protocols are equal text.

    Tuples become lists, keys become strings, and a float that is whole becomes an int (a learning rate of
    `1.0` and one of `1` are one protocol).

    Raises:
        DensebenchError: A number is NaN or infinite.
        TypeError: A value is not JSON data.
    """
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DensebenchError(f"A fingerprint cannot hold the number {value}.", "Every setting must be finite.")
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"a fingerprint holds plain data, not {type(value).__name__}: {value!r}")


def text(value: Any) -> str:
    """Write `value` as canonical JSON: sorted keys, no spaces, numbers in their shortest exact form."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(protocol: Mapping[str, Any]) -> str:
    """Hash a protocol: the first 12 hexadecimal digits of the sha256 of its canonical JSON."""
    return hashlib.sha256(text(protocol).encode()).hexdigest()[:12]


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """List the differences of two protocols in words, such as "optimizer.lr: 0.02 against 0.01".

    The list is empty exactly when the two have the same canonical JSON.
    """
    return _differences(canonical(first), canonical(second), "")


def _differences(first: dict[str, Any], second: dict[str, Any], prefix: str) -> list[str]:
    words: list[str] = []
    for key in sorted(first.keys() | second.keys()):
        name = f"{prefix}{key}"
        if key not in first or key not in second:
            left = text(first[key]) if key in first else "nothing"
            right = text(second[key]) if key in second else "nothing"
            words.append(f"{name}: {left} against {right}")
        elif isinstance(first[key], dict) and isinstance(second[key], dict):
            words += _differences(first[key], second[key], f"{name}.")
        elif text(first[key]) != text(second[key]):
            words.append(f"{name}: {text(first[key])} against {text(second[key])}")
    return words
