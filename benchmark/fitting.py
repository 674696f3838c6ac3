"""Whether an architecture fits a protocol, and what it gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmark import backbones
from benchmark.protocol import Protocol
from benchmark.task import Task
from pretrain.errors import UsageError


def check(task: Task, arch: str, protocol: Protocol) -> None:
    """Refuse an architecture that a protocol's detector cannot take.

    Raises:
        UsageError: Its maps have other strides than a feature pyramid's, or no last stage to cut off for a box head.
    """
    family = backbones.family(arch)
    strides = family.strides(arch)
    if task.kind == "detection" and strides != (4, 8, 16, 32):
        raise UsageError(
            f"{task.name} detects on maps at strides 4 to 32; all maps of {arch} have the stride {strides[-1]}.",
            "Take a segmentation or depth task for it.",
        )
    if "num_stages" in protocol["model"]["backbone"] and not family.cuts:
        raise UsageError(
            f"{task.name} uses a ResNet's last stage as its box head, which {arch} does not have.",
            "Take a detection task with a feature pyramid for it.",
        )


def check_shared(task: Task, protocol: Protocol, processes: int) -> None:
    """Refuse a number of processes that cannot share a protocol's batch.

    Raises:
        UsageError: It does not divide the batch.
    """
    batch = protocol["schedule"]["batch_size"]
    if batch % processes:
        raise UsageError(
            f"{task.name} takes {batch} images a step, which {processes} processes cannot share evenly.",
            "Start another number of processes.",
        )


def notes(arch: str, asked: Mapping[str, Any]) -> list[str]:
    """Say where heads see another stride than that of a ResNet which the protocol dilates.

    Args:
        arch: The architecture.
        asked: What the protocol asks of its backbone.
    """
    family = backbones.family(arch)
    if "dilations" not in asked or family.dilates:
        return []
    stride, dilated = family.strides(arch)[-1], 4 * math.prod(asked["strides"])
    if stride == dilated:
        return []
    seen = f"the head sees maps at stride {stride}, a ResNet's at stride {dilated}."
    return [f"{arch} is not dilated as a ResNet is: {seen}"]


def values(arch: str) -> dict[str, Any]:
    """Return what `$c2` to `$c5`, `$channels` and the family's own names stand for in a protocol."""
    family = backbones.family(arch)
    channels = family.channels(arch)
    named = {f"c{stage}": width for stage, width in zip(range(2, 6), channels, strict=True)}
    return {**named, "channels": list(channels), **family.values(arch)}
