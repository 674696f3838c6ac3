"""What a user asks of a run, and what is told as it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.result import Record


@dataclass(frozen=True)
class Event:
    """Something happened in `run_tasks`.

    Attributes:
        kind: "started", "step", "recorded", or "found" for a run whose record exists.
        task: The task's name.
        seed: The fine-tuning seed.
        step: Iterations done.
        steps: Iterations in all.
        record: The record, for "recorded" and "found".
    """

    kind: str
    task: str
    seed: int
    step: int = 0
    steps: int = 0
    record: Record | None = None


@dataclass(frozen=True)
class Request:
    """What a user asks of `run_tasks`, beside tasks, checkpoint and seeds.

    Attributes:
        data_root: The folder of the data sets.
        arch: The architecture; needed for "random", else read from the checkpoint.
        trunk: Which of the checkpoint's networks; by default the one that its authors evaluate.
        mode: "finetune", "frozen" or "linear".
        name: What to call the checkpoint in tables; by default its method's name.
        out: Where records and work folders go.
        data_spec: A data specification, for data that is not in the official layout.
        force: Run again what is recorded.
        overrides: Dotted names in the protocol and their new values.
        precision: "float32" or "bfloat16"; by default the task's.
        workers: Loader processes.
        skip_unreadable: Leave out training images that cannot be read.
        allow_untrained: Accept a checkpoint that looks untrained.
        keep_model: Keep the fine-tuned weights.
        stated: What a file that is not ours does not say: "method", "recipe", "data" and "epochs" of its pretraining.
        format: The checkpoint's naming format; by default it is found out.
        inputs: The input normalisation of a file that does not state it; see `normalisation.asked`.
    """

    data_root: Path
    arch: str | None = None
    trunk: str | None = None
    mode: str = "finetune"
    name: str | None = None
    out: Path = Path("runs")
    data_spec: Path | None = None
    force: bool = False
    overrides: Mapping[str, Any] | None = None
    precision: str | None = None
    workers: int = 2
    skip_unreadable: bool = False
    allow_untrained: bool = False
    keep_model: bool = False
    stated: Mapping[str, Any] = field(default_factory=dict)
    format: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> Mapping[str, Any]:
        """The settings that the user changes, a precision that is asked for among them."""
        asked = {"precision": self.precision} if self.precision else {}
        return {**(self.overrides or {}), **asked}
