"""A checkpoint becomes a certified backbone, a measured record and a row of a table.

From Python: `benchmark.evaluate(checkpoint, tasks, data_root=...)` and `benchmark.leaderboard(records)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchmark.result import Record


def evaluate(
    checkpoint: str | Path,
    tasks: Sequence[str],
    *,
    data_root: str | Path,
    seeds: Sequence[int] = (0,),
    **options: Any,
) -> list[Record]:
    """Fine-tune a checkpoint on tasks and return the records, one a task and seed; what is recorded is not run again.

    Args:
        checkpoint: A file, or "random" for the control row (then `arch` is needed).
        tasks: Names of tasks.
        data_root: The folder with VOCdevkit, coco, cityscapes, nyu.
        seeds: Fine-tuning seeds.
        options: Further fields of `benchmark.request.Request`: arch, mode, name, out, overrides, ...

    Raises:
        UsageError: A name is unknown, or options do not fit together.
        DensebenchError: The checkpoint is not certified, the data is incomplete, or a run failed.
    """
    from benchmark.request import Request
    from benchmark.run import run_tasks

    paths = {name: Path(options[name]) for name in ("out", "data_spec") if options.get(name) is not None}
    return run_tasks(tasks, str(checkpoint), seeds, Request(Path(data_root), **{**options, **paths}))


def leaderboard(records: Iterable[Record]) -> DataFrame:
    """Return the leaderboard of records; its columns are those of `leaderboard.csv`."""
    from benchmark.table import leaderboard as make

    return make(list(records))
