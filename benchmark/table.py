"""Records -> tables: one row for each checkpoint, protocol and metric, over its fine-tuning seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.result import Record
from benchmark.stats import Summary, summarise, verdict

COLUMNS = [
    *("method", "arch", "checkpoint", "task", "mode", "metric"),
    *("mean", "sd", "n", "gain_over_random", "rank", "fingerprint"),
]
# At the floor a number says that nothing was learned, not which backbone is better:
LEAST_AP = 1.0  # an average precision in percent,
LEAST_GAIN = 1.05  # a mean recall of the classes over that of predicting one class everywhere


@dataclass(frozen=True)
class Cell:
    """One number of the wide table.

    Attributes:
        summary: Mean, standard deviation and number of fine-tuning seeds.
        best: The best of at least two rows under this protocol and architecture, and not at the floor.
        floor: So low that it says nothing; see `at_floor`.
        against_random: The verdict against random initialisation; empty for random itself, or without it.
    """

    summary: Summary
    best: bool
    floor: bool
    against_random: str


@dataclass(frozen=True)
class _Row:
    """One checkpoint under one protocol and metric."""

    method: str
    checkpoint: str
    task: str
    mode: str
    arch: str
    fingerprint: str
    metric: str
    direction: str
    headline: str
    summary: Summary
    floor: bool

    @property
    def group(self) -> tuple[str, ...]:
        """What rows must share to be ranked."""
        return self.task, self.mode, self.arch, self.fingerprint, self.metric

    @property
    def score(self) -> float:
        """The mean, turned so that more is better."""
        return self.summary.mean if self.direction == "higher" else -self.summary.mean


def leaderboard(records: Iterable[Record]) -> pd.DataFrame:
    """Return the long table: one row for each checkpoint, task, mode, protocol and metric.

    The mean is over fine-tuning seeds, `n` of them; `sd` is their sample standard deviation (NaN for one).
    Ranks, 1 being best and ties sharing, hold within one fingerprint and architecture only.
    `gain_over_random` is the mean minus that of random initialisation under the same fingerprint and
    architecture, positive where the row is better; NaN without a random row.

    Args:
        records: In any order; a run that occurs twice counts once.
    """
    lines = []
    for rows in _groups(_summaries(records)).values():
        for row in sorted(rows, key=lambda row: (-row.score, row.method, row.checkpoint)):
            reference = _random(rows)
            lines.append(
                {
                    **{name: getattr(row, name) for name in COLUMNS if hasattr(row, name)},
                    "mean": row.summary.mean,
                    "sd": row.summary.sd,
                    "n": row.summary.n,
                    "gain_over_random": row.score - reference.score if reference else float("nan"),
                    "rank": 1 + sum(other.score > row.score for other in rows),
                }
            )
    return pd.DataFrame(lines, columns=COLUMNS)


def wide(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table for reading: a row for each checkpoint, a column for each task, of `Cell` or None.

    Rows are (arch, method, checkpoint), random first; columns are (task, mode, fingerprint, metric), the
    headline metric of each task and, beside an average precision, the one at IoU 0.5.
    """
    rows = [row for row in _summaries(records) if row.metric in (row.headline, f"{row.headline}50")]
    cells = {}
    for group in _groups(rows).values():
        for row in group:
            column = (row.task, row.mode, row.fingerprint, row.metric)
            cells[(row.arch, row.method, row.checkpoint), column] = _cell(row, group)
    index = sorted({row for row, _ in cells}, key=lambda row: (row[0], row[1] != "random", row))
    columns = sorted({column for _, column in cells})
    return pd.DataFrame(
        [[cells.get((row, column)) for column in columns] for row in index],
        index=pd.MultiIndex.from_tuples(index, names=["arch", "method", "checkpoint"]) if index else None,
        columns=pd.MultiIndex.from_tuples(columns, names=["task", "mode", "fingerprint", "metric"])
        if columns
        else None,
        dtype=object,
    )


def label(record: Record) -> str:
    """Name a record's checkpoint: name and first digits of the weights' hash, or "random" for the control.

    The hash tells two pretraining seeds of one method apart. They are two rows, because the spread of a row
    is that of fine-tuning one checkpoint.
    """
    return "random" if record.is_random else f"{record.name}@{record.weights[:8]}"


def at_floor(metric: str, records: Sequence[Record]) -> bool:
    """Say whether seeds of one row are, in the mean, too low to compare backbones by.

    An average precision is below 1 percent; a segmentation's classes are found no better than by one class
    everywhere, whose mean recall is 1 / C where all C classes occur in the test images.
    """
    if metric.removesuffix("50").removesuffix("75").endswith("AP"):
        return summarise(record.metrics[metric] for record in records).mean < LEAST_AP
    if metric not in ("mIoU", "mAcc") or any("mAcc" not in record.metrics for record in records):
        return False
    classes = len(records[0].fingerprint_dict.get("data.classes", ()))
    return classes > 0 and summarise(r.metrics["mAcc"] for r in records).mean < LEAST_GAIN * 100 / classes


def _summaries(records: Iterable[Record]) -> list[_Row]:
    """Summarise the seeds of each row; the headline metric of a task comes first."""
    runs: dict[tuple[str, ...], list[Record]] = {}
    for record in {record.key: record for record in records}.values():
        key = (record.task, record.mode, record.arch, record.fingerprint, record.weights)
        runs.setdefault(key, []).append(record)
    rows = []
    for members in runs.values():
        named = min(members, key=lambda record: (record.name, record.method, record.seed))
        for metric in {metric for record in members for metric in record.metrics}:
            measured = [record for record in members if metric in record.metrics]
            rows.append(
                _Row(
                    method=named.method,
                    checkpoint=label(named),
                    task=named.task,
                    mode=named.mode,
                    arch=named.arch,
                    fingerprint=named.fingerprint,
                    metric=metric,
                    direction=measured[0].directions[metric],
                    headline=named.headline,
                    summary=summarise(record.metrics[metric] for record in measured),
                    floor=at_floor(metric, measured),
                )
            )
    return sorted(rows, key=lambda row: (*row.group[:4], row.metric != row.headline, row.metric))


def _groups(rows: Iterable[_Row]) -> Mapping[tuple[str, ...], list[_Row]]:
    groups: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def _random(rows: Sequence[_Row]) -> _Row | None:
    """Return the control row of a group: the one drawn anew for each seed, if there is just one."""
    found = [row for row in rows if row.checkpoint == "random"]
    return found[0] if len(found) == 1 else None


def _cell(row: _Row, group: Sequence[_Row]) -> Cell:
    reference = _random(group)
    return Cell(
        summary=row.summary,
        best=len(group) > 1 and not row.floor and row.score == max(other.score for other in group),
        floor=row.floor,
        against_random=verdict(row.summary, reference.summary, row.direction)
        if reference and reference is not row
        else "",
    )
