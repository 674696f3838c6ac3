"""Downstream tasks: one file of `transfer_configs/` each; the file's name is the task's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretrain.errors import DensebenchError, unknown

FOLDER = Path(__file__).resolve().parent.parent / "transfer_configs"
KINDS = ("detection", "segmentation", "depth")
NEEDED = (
    *("model", "trunk", "train_pipeline", "test_pipeline", "optimizer", "evaluator", "values", "precision"),
    *("test_batch_size", "schedule.iterations", "schedule.batch_size", "schedule.policy"),
    *("benchmark.kind", "benchmark.data", "benchmark.metrics", "benchmark.precise_bn"),
)


@dataclass(frozen=True)
class Metric:
    """A number that a task reports.

    Attributes:
        key: Its name in the record.
        label: Its name in a table.
        scale: Its unit: "percent", "metres" or "ratio".
        better: "higher" or "lower".
    """

    key: str
    label: str
    scale: str
    better: str


@dataclass(frozen=True)
class Task:
    """A downstream protocol without a backbone.

    Attributes:
        name: The name on the command line.
        protocol: What the task's file says, its `_base_` files merged in.
    """

    name: str
    protocol: dict[str, Any]

    @property
    def kind(self) -> str:
        """The kind of prediction: "detection", "segmentation" or "depth"."""
        return str(self.protocol["benchmark"]["kind"])

    @property
    def data(self) -> str:
        """The section of the data specification that the task reads."""
        return str(self.protocol["benchmark"]["data"])

    @property
    def metrics(self) -> list[Metric]:
        """The reported numbers, the headline first."""
        return [Metric(**metric) for metric in self.protocol["benchmark"]["metrics"]]

    @property
    def modes(self) -> list[str]:
        """The modes that the task can run in."""
        return ["finetune", "frozen"] + (["linear"] if "linear" in self.protocol else [])


def names() -> list[str]:
    """List the tasks.

    Raises:
        DensebenchError: The folder of the tasks is absent, as it is from an installed package.
    """
    if not FOLDER.is_dir():
        raise DensebenchError(
            f"There is no folder {FOLDER} of tasks.", "Run densebench from a clone of its repository."
        )
    return sorted(path.name.removesuffix(".py") for path in FOLDER.glob("*.py"))


def load(name: str) -> Task:
    """Read the task `name`.

    Raises:
        UsageError: There is no such task.
        DensebenchError: There are no tasks, or the task's file does not say what a task must say.
    """
    from mmengine.config import Config

    if name not in names():
        raise unknown("task", name, names())
    path = FOLDER / f"{name}.py"
    protocol = Config.fromfile(path).to_dict()
    for needed in NEEDED:
        block, _, entry = needed.rpartition(".")
        if entry not in (protocol.get(block, {}) if block else protocol):
            raise DensebenchError(f"{path} has no '{needed}', which every task must have.", "Look at another's file.")
    if protocol["benchmark"]["kind"] not in KINDS:
        raise DensebenchError(f"{path} names the kind '{protocol['benchmark']['kind']}', not one of {KINDS}.")
    return Task(name, protocol)
