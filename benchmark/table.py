"""Records -> tables: one row for each checkpoint, protocol and metric, over its fine-tuning seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from benchmark.result import Record
from benchmark.stats import Summary, summarise, verdict
from pretrain.errors import unknown

COLUMNS = [
    *("method", "arch", "checkpoint", "task", "mode", "metric"),
    *("mean", "sd", "n", "gain_over_random", "rank", "fingerprint"),
    *("scale", "floor", "data", "evaluated", "precision", "partial", "changed"),
]
SIBLINGS = (".small", ".demo")  # the ends of the names of tasks that are no paper's protocol
# At the floor a number says that nothing was learned, not which backbone is better:
LEAST_AP = 1.0  # an average precision in percent,
LEAST_GAIN = 1.05  # a mean recall of the classes over that of predicting one class everywhere


@dataclass(frozen=True)
class Conditions:
    """Under what a row was measured, beside what its columns say.

    Attributes:
        data: The data's name: "official", or that of its specification.
        evaluated: How many test images were evaluated; None where the records do not say.
        precision: "float32" or "bfloat16".
        partial: A paper's protocol had fewer images than the official set has. Its `.small` and `.demo` siblings are
            no paper's anyhow, and are not called partial.
        changed: The task's settings that were changed, such as "schedule.iterations was set to 100".
    """

    data: str
    evaluated: int | None
    precision: str
    partial: bool
    changed: tuple[str, ...]

    @property
    def deviates(self) -> bool:
        """Whether this is not the task as it stands."""
        return self.partial or bool(self.changed)


@dataclass(frozen=True)
class Cell:
    """One number of the wide table.

    Attributes:
        summary: Mean, standard deviation and number of fine-tuning seeds.
        scale: The unit: "percent", "metres" or "ratio".
        best: The best of at least two rows under this protocol and architecture, and not at the floor.
        floor: So low that it says nothing; see `at_floor`.
        against_random: The verdict against random initialisation; empty for random itself, without it, and where
            one of the two is at the floor.
        conditions: Under what it was measured.
    """

    summary: Summary
    scale: str
    best: bool
    floor: bool
    against_random: str
    conditions: Conditions


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
    scale: str
    summary: Summary
    floor: bool
    conditions: Conditions

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
    Ranks, 1 being best and ties sharing, hold within one fingerprint and architecture only; a row at the floor has
    none.
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
                    **asdict(row.conditions),
                    "changed": "; ".join(row.conditions.changed),
                    "mean": row.summary.mean,
                    "sd": row.summary.sd,
                    "n": row.summary.n,
                    "gain_over_random": row.score - reference.score if reference else float("nan"),
                    "rank": None if row.floor else 1 + sum(other.score > row.score for other in _ranked(rows)),
                }
            )
    return pd.DataFrame(lines, columns=COLUMNS).astype({"rank": "Int64", "evaluated": "Int64"})


def wide(records: Iterable[Record]) -> pd.DataFrame:
    """Return the table for reading: a row for each checkpoint, a column for each task, of `Cell` or None.

    Rows are (arch, method, checkpoint), random first; columns are (task, mode, fingerprint, metric): the headline
    metric of each task, every average precision (of boxes, of masks), and beside each the one at IoU 0.5.
    """
    rows = [row for row in _summaries(records) if row.metric.removesuffix("50") == row.headline or _is_ap(row.metric)]
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


def select(records: Iterable[Record], tasks: Sequence[str], modes: Sequence[str]) -> list[Record]:
    """Return the records of some tasks and modes, for a table that fits the screen.

    Args:
        records: All of them.
        tasks: Parts of tasks' names, such as "voc" or ".small"; none for all.
        modes: Whole names of modes; none for all.

    Raises:
        UsageError: One of them fits no record.
    """
    kept = list(records)
    for words, what, fits in (
        (tasks, "task", lambda word, record: word in record.task),
        (modes, "mode", lambda word, record: word == record.mode),
    ):
        for word in words:
            if not any(fits(word, record) for record in kept):
                raise unknown(f"record of the {what}", word, {getattr(record, what) for record in kept})
        kept = [record for record in kept if not words or any(fits(word, record) for word in words)]
    return kept


def label(record: Record) -> str:
    """Name a record's checkpoint: name and first digits of the weights' hash, or "random" for the control.

    The hash tells two pretraining seeds of one method apart. They are two rows, because the spread of a row
    is that of fine-tuning one checkpoint.
    """
    return "random" if record.is_random else f"{record.name}@{record.weights[:8]}"


def at_floor(metric: str, records: Sequence[Record]) -> bool:
    """Say whether seeds of one row are, in the mean, too low to compare backbones by.

    An average precision is below 1 percent; a segmentation's classes are found no better than by one class
    everywhere, whose mean recall is 1 / C where C classes occur in the test images: all that the protocol has, unless
    the records say how many.
    """
    if metric.removesuffix("50").removesuffix("75").endswith("AP"):
        return summarise(record.metrics[metric] for record in records).mean < LEAST_AP
    if metric not in ("mIoU", "mAcc") or any("mAcc" not in record.metrics for record in records):
        return False
    classes = records[0].data.get("evaluated_classes") or records[0].fingerprint_dict.get("data.classes", ())
    count = classes if isinstance(classes, int) else len(classes)
    return count > 0 and summarise(r.metrics["mAcc"] for r in records).mean < LEAST_GAIN * 100 / count


def _is_ap(metric: str) -> bool:
    return metric.removesuffix("50").endswith("AP")


def _summaries(records: Iterable[Record]) -> list[_Row]:
    """Summarise the seeds of each row; the headline metric of a task comes first."""
    runs: dict[tuple[str, ...], list[Record]] = {}
    named: dict[tuple[str, str], Record] = {}
    for record in sorted({record.key: record for record in records}.values(), key=lambda r: (r.name, r.method, r.key)):
        key = (record.task, record.mode, record.arch, record.fingerprint, record.weights)
        runs.setdefault(key, []).append(record)
        named.setdefault((record.arch, record.weights), record)  # one checkpoint, one name over all tasks
    rows = []
    for members in runs.values():
        first = members[0]
        name = named[first.arch, first.weights]
        for metric in {metric for record in members for metric in record.metrics}:
            measured = [record for record in members if metric in record.metrics]
            rows.append(
                _Row(
                    method=name.method,
                    checkpoint=label(name),
                    task=first.task,
                    mode=first.mode,
                    arch=first.arch,
                    fingerprint=first.fingerprint,
                    metric=metric,
                    direction=measured[0].directions[metric],
                    headline=first.headline,
                    scale=measured[0].scale(metric),
                    summary=summarise(record.metrics[metric] for record in measured),
                    floor=at_floor(metric, measured),
                    conditions=_conditions(measured),
                )
            )
    return sorted(rows, key=lambda row: (*row.group[:4], row.metric != row.headline, row.metric))


def _conditions(records: Sequence[Record]) -> Conditions:
    return Conditions(
        data=", ".join(sorted({str(record.data.get("name", "")) for record in records})),
        evaluated=records[0].evaluated,
        precision=", ".join(sorted({record.precision for record in records})),
        partial=any(record.partial and not record.task.endswith(SIBLINGS) for record in records),
        changed=tuple(sorted({change for record in records for change in record.changes})),
    )


def _ranked(rows: Iterable[_Row]) -> list[_Row]:
    return [row for row in rows if not row.floor]


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
    return Cell(
        summary=row.summary,
        scale=row.scale,
        best=len(group) > 1 and not row.floor and row.score == max(other.score for other in _ranked(group)),
        floor=row.floor,
        against_random=_against(_random(group), row),
        conditions=row.conditions,
    )


def _against(reference: _Row | None, row: _Row) -> str:
    if reference is None or reference is row or reference.floor or row.floor:
        return ""
    return verdict(row.summary, reference.summary, row.direction)
