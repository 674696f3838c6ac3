"""A task's protocol as a tree of plain data: modes, overrides, `$names`, and its flat form."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from benchmark.task import Task
from pretrain.errors import UsageError, unknown

FRACTIONS = {
    *("anchor_scales", "finest_scale", "ignore_iof_thr", "min_bbox_size", "neg_pos_ub", "pad_val", "pos_weight"),
    *("lr", "min_lr", "weight_decay", "momentum", "power", "loss_weight"),  # `weight_decay=0` in a task is no count
}
"""The settings that may be fractions even where a task has a whole number, by the last part of their names."""
FROM_ZERO = {"ignore_index", "in_index", "num_convs", "out_indices", "precise_bn", "warmup"}
"""The whole numbers that may be 0 even where the task has another; all others are from 1 up."""
MODES = ("finetune", "frozen", "linear")
Protocol = dict[str, Any]


def protocol_of(task: Task, mode: str, overrides: Mapping[str, Any]) -> Protocol:
    """Return the task's protocol in a mode, with overrides; `$names` still stand.

    Raises:
        UsageError: The task has no such mode, or an override names what the protocol lacks.
    """
    if mode not in task.modes:
        if mode in MODES:
            raise UsageError(f"{task.name} has no mode '{mode}'.", f"Its modes: {', '.join(task.modes)}.")
        raise unknown("mode", mode, MODES)
    protocol = copy.deepcopy(task.protocol)
    linear = protocol.pop("linear", {})
    if mode == "linear":
        _merge(protocol, linear)
    for name, value in overrides.items():
        _override(protocol, name, value)
    return protocol


def changes(task: Task, mode: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in which the task's protocol with overrides differs from the task as it stands.

    Raises:
        UsageError: See `protocol_of`.
    """
    plain = dict(flatten(protocol_of(task, mode, {}), ""))
    changed = flatten(protocol_of(task, mode, overrides), "")
    return {name: value for name, value in changed if value != plain.get(name)}


def flatten(value: Any, name: str) -> list[tuple[str, Any]]:
    """Return (dotted name, value) for every leaf below `name`; a list of plain values is a leaf."""
    if isinstance(value, dict):
        return [pair for key in sorted(value) for pair in flatten(value[key], f"{name}.{key}" if name else key)]
    if isinstance(value, list | tuple):
        if any(isinstance(entry, dict) for entry in value):
            return [pair for k, entry in enumerate(value) for pair in flatten(entry, f"{name}.{k}")]
        return [(name, list(value))]
    return [(name, value)]


def fill(value: Any, values: Mapping[str, Any], task: str, *, partly: bool) -> Any:
    """Replace every string "$name" by its value; `partly` leaves unknown names for later."""
    if isinstance(value, dict):
        return {key: fill(entry, values, task, partly=partly) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(fill(entry, values, task, partly=partly) for entry in value)
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] in values:
            return copy.deepcopy(values[value[1:]])
        if not partly:
            raise UsageError(f"{task} needs '{value}', which this architecture does not have.")
    return value


def replace_type(value: Any, old: str, new: str) -> Any:
    """Return the tree with every `type` that is `old` made `new`."""
    if isinstance(value, dict):
        return {
            key: new if key == "type" and entry == old else replace_type(entry, old, new)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(replace_type(entry, old, new) for entry in value)
    return value


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict) and not value.get("_delete_"):
            _merge(target[key], value)
        elif isinstance(value, Mapping):
            target[key] = {name: entry for name, entry in value.items() if name != "_delete_"}
        else:
            target[key] = value


def _override(protocol: Protocol, name: str, value: Any) -> None:
    if name.startswith("benchmark.") and name != "benchmark.precise_bn":
        raise UsageError(f"'{name}' says what the task is, and cannot be set.", "Choose another task.")
    *folders, last = name.split(".")
    block: Any = protocol
    for folder in folders:
        block = block.get(folder) if isinstance(block, dict) else None
    if not isinstance(block, dict) or last not in block:
        raise unknown("setting", name, (key for key, _ in flatten(protocol, "")))
    old = block[last]
    listed = isinstance(old, list | tuple)
    if isinstance(old, dict) or (listed and any(isinstance(entry, dict) for entry in old)):
        raise UsageError(f"'{name}' is no single value; set one of its parts.")
    if listed:
        if not isinstance(value, list | tuple) or not value:
            raise UsageError(f"'{name}' is a list, such as --set '{name}={old}'; got {value!r}.")
        if isinstance(old, tuple) and len(value) != len(old):
            raise UsageError(f"'{name}' has {len(old)} numbers, such as {old}; got {value!r}.")
        value = type(old)(value)
    _hold_to_kind(name, old, value)
    block[last] = value


def _hold_to_kind(name: str, old: Any, value: Any) -> None:
    """Refuse a value of another kind than the protocol's own, each of a list by its first."""
    if isinstance(old, list | tuple):
        for entry in (value if isinstance(value, list | tuple) else [value]) if old else ():
            _hold_to_kind(name, old[0], entry)
        return
    if name == "values.max_test_images" and value is None:  # all of them
        return
    kind = 1 if name == "values.max_test_images" else old
    last = name.rpartition(".")[2]
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(kind, bool):
        fits, wanted = isinstance(value, bool), "True or False"
    elif isinstance(kind, int | float):
        whole = isinstance(kind, int) and last not in FRACTIONS
        lowest = int(whole and kind > 0 and last not in FROM_ZERO)
        fits = number and (isinstance(value, int) or not whole) and (value >= lowest or kind < 0)
        wanted = ("a whole number" if whole else "a number") + ("" if kind < 0 else f" from {lowest} up")
    else:
        fits, wanted = kind is None or kind.startswith("$") or isinstance(value, str), "a word"
    if not fits:
        raise UsageError(f"'{name}' should be {wanted}; the task has {old}, and {value!r} was given.")
