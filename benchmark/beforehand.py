"""What `run` finds wrong before it reads any data: names, architecture, and what does not fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark import backbones, fitting, protocol, task
from benchmark.inspection import inspect
from benchmark.request import Request
from pretrain.errors import UsageError


def check(tasks: Sequence[str], checkpoint: str, request: Request, processes: int) -> list[task.Task]:
    """Return the tasks, all of which this checkpoint can be run on.

    Of a file, only the headers are read.

    Args:
        tasks: Names of tasks.
        checkpoint: A file, or "random".
        request: What is asked of the runs.
        processes: How many train together.

    Raises:
        UsageError: A name is unknown, there is no such file, or options do not fit together.
        DensebenchError: The file cannot be read at all.
    """
    chosen = [task.load(name) for name in tasks]
    protocols = [protocol.protocol_of(one, request.mode, request.changed) for one in chosen]
    arch = _architecture(checkpoint, request)
    for one, settings in zip(chosen, protocols, strict=True):
        if arch is not None:
            fitting.check(one, arch, settings)
        fitting.check_shared(one, settings, processes)
    return chosen


def options(stated: Mapping[str, Any]) -> str:
    """Name the options that state something of a pretraining."""
    return ", ".join(f"--{'pretrain-data' if name == 'data' else name}" for name in stated)


def _architecture(checkpoint: str, request: Request) -> str | None:
    """Return the architecture; None where a file's headers do not tell it, which converting will say."""
    if request.arch is not None:
        backbones.family(request.arch)
    if checkpoint == "random":
        if request.arch is None:
            raise UsageError("A random checkpoint needs an architecture.", "Add --arch, such as --arch resnet50.")
        if request.stated:
            raise UsageError("A random checkpoint has no pretraining.", f"Leave out {options(request.stated)}.")
        return request.arch
    path = Path(checkpoint)
    if not path.exists():
        raise UsageError(f"There is no checkpoint {path}.", "Name a file, or 'random'.")
    return request.arch or inspect(path, request.trunk, format=request.format).arch
