"""A paper's table: what was printed, what was measured, and what was measured and does not count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.paper import IMAGES, PAPERS, SEEDS, Printed, load
from benchmark.report import number
from benchmark.report.markdown import escape, render
from benchmark.result import Record
from benchmark.stats import Summary, against_paper, summarise
from benchmark.table import label
from pretrain.errors import unknown

PRECISION = "float32"  # of every task that a paper's table names
HEADER = ["task", "pretraining", "arch", "metric", "paper", "measured (n)", "verdict", "checkpoint", "protocol"]


def report(table: str, records: Iterable[Record], folder: Path = PAPERS) -> str:
    """Write a paper's table with what was measured beside it, as Markdown.

    Where several checkpoints or protocols agree with a number (two pretraining seeds, one process or eight), each has
    a line, that with the most seeds first.

    Args:
        table: One of `paper.tables()`.
        records: The measured runs.
        folder: Where the papers' numbers lie.

    Raises:
        UsageError: There is no such table.
    """
    printed, runs = _printed(table, folder), list(records)
    sources = list(dict.fromkeys(row.source for row in printed))
    lines: list[list[str]] = []
    remarks: dict[str, None] = {}
    for row in printed:
        start = [*map(escape, (row.task, row.recipe, row.architecture, row.metric))]
        start.append(f"{row.value} [{sources.index(row.source) + 1}]")
        found = measure(row, runs)
        for measured in found:
            lines.append([*start, *map(escape, _outcome(row, measured))])
            start = [""] * len(start)
            remarks |= {f"{row.task}, protocol {measured.fingerprint}: {text}": None for text in measured.notes}
        if not found:
            lines.append([*start, "not run", "", "", ""])
    notes = [f"[{i}] {source}" for i, source in enumerate(sources, 1)]
    notes += map(escape, [*remarks, *near_misses(printed, runs)])
    return f"{render(HEADER, lines, escaped=True)}\n" + "".join(f"{note}\n" for note in notes)


def gaps(table: str, records: Iterable[Record], folder: Path = PAPERS) -> list[Printed]:
    """Return the printed numbers that fewer than `SEEDS` runs of one checkpoint and protocol measure.

    Raises:
        UsageError: There is no such table.
    """
    runs = list(records)
    return [
        row
        for row in _printed(table, folder)
        if max((measured.summary.n for measured in measure(row, runs)), default=0) < SEEDS
    ]


@dataclass(frozen=True)
class Measured:
    """What was measured for one printed number: seeds and unit, checkpoint, protocol, and what the runs' notes say."""

    summary: Summary
    scale: str
    checkpoint: str
    fingerprint: str
    notes: tuple[str, ...]


def measure(row: Printed, records: Iterable[Record]) -> list[Measured]:
    """Summarise the records that measure a printed number, a checkpoint and protocol each; most seeds first."""
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        if row.metric in record.metrics and not obstacles(row, record):
            groups.setdefault((record.weights, record.fingerprint), {})[record.seed] = record
    found = []
    for key in sorted(groups, key=lambda key: (-len(groups[key]), key)):
        runs = [groups[key][seed] for seed in sorted(groups[key])]
        found.append(
            Measured(
                summarise(record.metrics[row.metric] for record in runs),
                runs[0].scale(row.metric),
                label(runs[0]),
                runs[0].fingerprint,
                tuple(sorted({note for record in runs for note in _notes(record)})),
            )
        )
    return found


def obstacles(row: Printed, record: Record) -> list[str]:
    """Say what keeps a record from measuring what the paper measured, a clause each; none where it counts.

    Task (the full protocol: `.small` and `.demo` are others, and so is one with a changed setting or precision),
    fine-tuning mode, architecture, method, recipe, pretraining data and epochs must agree, and the data set must be
    the official one, complete.
    """
    return [*_of_the_run(row, record), *_of_the_pretraining(row, record)]


def near_misses(rows: Sequence[Printed], records: Iterable[Record]) -> list[str]:
    """Tell of each checkpoint of a row's task and method that counts for no row why it does not, a sentence each."""
    told: dict[str, None] = {}
    for record in records:
        close = [row for row in rows if (row.task, row.method) == (record.task, record.method)]
        reasons = [(obstacles(row, record), row.recipe) for row in close]
        if reasons and all(why for why, _ in reasons):
            why, recipe = min(reasons, key=lambda reason: len(reason[0]))
            seen = "" if record.is_random else f", {_seen(record.pretraining)}"
            told[f"{label(record)}{seen}: not counted for {recipe}, because {', and '.join(why)}."] = None
    return list(told)


def _printed(table: str, folder: Path) -> list[Printed]:
    rows = load(folder)
    chosen = [row for row in rows if row.table == table]
    if not chosen:
        raise unknown("table", table, {row.table for row in rows})
    return chosen


def _outcome(row: Printed, measured: Measured) -> list[str]:
    difference = number.gain(measured.summary.mean - float(row.value), measured.scale)
    verdict = against_paper(measured.summary, float(row.value), row.resolution)
    return [
        number.summary(measured.summary, measured.scale),
        f"{difference}, {verdict}",
        measured.checkpoint,
        measured.fingerprint,
    ]


def _notes(record: Record) -> Iterator[str]:
    yield from record.notes
    if record.pretraining.get("stated"):
        yield f"What {label(record)} is and was pretrained on, the user stated; the file does not say it."


def _of_the_run(row: Printed, record: Record) -> Iterator[str]:
    for what, printed, recorded in (
        ("task", row.task, record.task),
        ("architecture", row.architecture, record.arch),
        ("mode", "finetune", record.mode),
        ("precision", PRECISION, record.precision),
        ("data", "official", record.data.get("name")),
    ):
        if printed != recorded:
            yield f"its {what} is {recorded}, not {printed}"
    if record.partial:
        yield "its images are fewer than the official set"
    yield from (f"its {change}" for change in record.changes)


def _of_the_pretraining(row: Printed, record: Record) -> Iterator[str]:
    if row.method == "random" or record.is_random:
        if row.method != "random" or not record.is_random:
            yield f"it is {'an initialisation' if record.is_random else 'a file'}"
        return
    pretraining = record.pretraining
    recipe = f"{record.method}/{pretraining.get('recipe')}"
    if recipe != row.recipe:
        yield f"its recipe is {recipe}"
    if not _same_data(row.pretrain_data, pretraining):
        yield f"its pretraining saw {pretraining.get('images', 'an unknown number of')} images, not {row.pretrain_data}"
    if not _same_epochs(row.epochs, pretraining.get("epochs")):
        yield f"its pretraining took {pretraining.get('epochs')} epochs, not {row.epochs}"


def _seen(pretraining: Mapping[str, Any]) -> str:
    return f"{pretraining.get('epochs', 'unknown')} epochs on '{pretraining.get('data', 'unknown')}'"


def _same_data(printed: str, pretraining: Mapping[str, Any]) -> bool:
    """Compare the number of images, which is unmistakable; without one the user must have stated the very name."""
    if "images" in pretraining:
        return bool(pretraining["images"] == IMAGES[printed].count)
    return bool(pretraining.get("stated")) and pretraining.get("data") == printed


def _same_epochs(printed: str, recorded: object) -> bool:
    """Compare epochs where the paper prints them; a run has a whole number of steps, and so nearly as many."""
    try:
        return math.isclose(float(printed), float(str(recorded)), rel_tol=1e-3)
    except ValueError:
        return not printed.replace(".", "").isdigit()
