"""A paper's table: what was printed, what was measured, and the commands that would fill the gaps."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.report import markdown, number
from benchmark.result import Record
from benchmark.stats import Summary, against_paper, summarise
from pretrain.errors import DensebenchError, unknown

ROOT = Path(__file__).resolve().parent.parent
PAPERS = ROOT / "results" / "paper"
COLUMNS = [
    *("table", "task", "method", "recipe", "pretrain_data", "epochs"),
    *("architecture", "metric", "value", "source"),
]
_IMAGENET = ("imagenet", "imagenet1k", "ilsvrc2012")


@dataclass(frozen=True)
class Images:
    """The training images of a data set.

    Attributes:
        folder: Where they lie.
        names: What stands for them at the end of a checkpoint's `data`.
        count: How many there are.
    """

    folder: str
    names: tuple[str, ...]
    count: int


IMAGES = {
    "ImageNet-1k": Images("DATA/imagenet/train", (*_IMAGENET, *(f"{name}/train" for name in _IMAGENET)), 1_281_167),
    "COCO train2017": Images("DATA/coco/train2017", ("train2017",), 118_287),
}


@dataclass(frozen=True)
class Printed:
    """One number of a paper; the fields are the columns of `results/paper/*.csv`."""

    table: str
    task: str
    method: str
    recipe: str  # "densecl/imagenet-200e", with "+matching=random" and the like for a variant; or "random"
    pretrain_data: str
    epochs: str
    architecture: str
    metric: str
    value: str  # as printed
    source: str

    @property
    def resolution(self) -> float:
        """The unit of the last printed digit."""
        return 10.0 ** -len(self.value.partition(".")[2])


def load(folder: Path = PAPERS) -> list[Printed]:
    """Read every paper's numbers.

    Raises:
        DensebenchError: A file lacks a column, or a value is not a number.
    """
    rows: list[Printed] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            if reader.fieldnames != COLUMNS:
                raise DensebenchError(f"{path} has the columns {reader.fieldnames}, expected {COLUMNS}.")
            for line in reader:
                row = Printed(**line)
                if not re.fullmatch(r"-?\d+(\.\d+)?", row.value):
                    raise DensebenchError(f"{path}, line {reader.line_num}: {row.value!r} is not a number.")
                rows.append(row)
    return rows


def tables(folder: Path = PAPERS) -> list[str]:
    """Name the tables that can be reproduced."""
    return sorted({row.table for row in load(folder)})


def report(table: str, records: Iterable[Record], plan: bool = False, folder: Path = PAPERS) -> str:
    """Write a paper's table with what was measured beside it, as Markdown.

    Args:
        table: One of `tables()`.
        records: The measured runs.
        plan: Also write the commands that would fill the empty cells.
        folder: Where the papers' numbers lie.

    Raises:
        UsageError: There is no such table.
    """
    printed = [row for row in load(folder) if row.table == table]
    if not printed:
        raise unknown("table", table, tables(folder))
    runs = list(records)
    sources = list(dict.fromkeys(row.source for row in printed))
    lines: list[list[str]] = []
    gaps: list[Printed] = []
    remarks: dict[str, None] = {}
    for row in printed:
        measured = measure(row, runs)
        if measured is None:
            gaps.append(row)
            outcome = ["not run", ""]
        else:
            verdict = against_paper(measured.summary, float(row.value), row.resolution)
            outcome = [number.summary(measured.summary, row.metric), verdict]
            remarks |= {f"{row.task}, protocol {measured.fingerprint}: {text}": None for text in measured.notes}
        note = f"[{sources.index(row.source) + 1}]"
        lines.append([row.task, row.recipe, row.architecture, row.metric, f"{row.value} {note}", *outcome])
    header = ["task", "pretraining", "arch", "metric", "paper", "measured (n)", "verdict"]
    notes = "".join(f"[{i}] {source}\n" for i, source in enumerate(sources, 1))
    notes += "".join(f"{remark}\n" for remark in remarks)
    text = f"{markdown.render(header, lines)}\n{notes}"
    return f"{text}\n{commands(gaps)}" if plan else text


@dataclass(frozen=True)
class Measured:
    """What was measured for one printed number: seeds, protocol, and what the runs' notes say of it."""

    summary: Summary
    fingerprint: str
    notes: tuple[str, ...]


def measure(row: Printed, records: Iterable[Record]) -> Measured | None:
    """Summarise the records that measure a printed number; None without any.

    Where several checkpoints or protocols agree with the row (two pretraining seeds, one process or eight), the
    group with the most seeds counts.
    """
    groups: dict[tuple[str, str], dict[int, float]] = {}
    notes: dict[tuple[str, str], set[str]] = {}
    for record in records:
        if row.metric in record.metrics and agrees(row, record):
            key = (record.weights, record.fingerprint)
            groups.setdefault(key, {})[record.seed] = record.metrics[row.metric]
            notes.setdefault(key, set()).update(record.notes)
    if not groups:
        return None
    largest = max(sorted(groups), key=lambda key: len(groups[key]))
    return Measured(summarise(groups[largest].values()), largest[1], tuple(sorted(notes[largest])))


def agrees(row: Printed, record: Record) -> bool:
    """Say whether a record measures what the paper measured.

    Task (the full protocol: `.small` and `.demo` are others, and so is one with a changed setting), fine-tuning
    mode, method, recipe, pretraining data, epochs and architecture agree, and the data set was the official one,
    complete.
    """
    if (record.task, record.mode, record.arch) != (row.task, "finetune", row.architecture):
        return False
    if record.partial or record.changed or record.data.get("name") != "official":
        return False
    if row.method == "random" or record.is_random:
        return row.method == "random" and record.is_random
    pretraining = record.pretraining
    return (
        f"{record.method}/{pretraining.get('recipe')}" == row.recipe
        and _same_data(row.pretrain_data, str(pretraining.get("data", "")), pretraining.get("images"))
        and _same_epochs(row.epochs, pretraining.get("epochs"))
    )


def commands(gaps: Iterable[Printed]) -> str:
    """Write the commands that would fill printed numbers without a measurement, each command once."""
    lines: dict[str, None] = {}
    for row in gaps:
        checkpoint = "random"
        if not (ROOT / "transfer_configs" / f"{row.task}.py").is_file():
            lines[f"# {row.task}: no such task yet"] = None
            continue
        if row.method != "random":
            recipe, _, settings = row.recipe.partition("/")[2].partition("+")
            if not (ROOT / "pretrain" / "methods" / f"{row.method}.py").is_file():
                lines[f"# {row.task}, {row.recipe}: no such method yet"] = None
                continue
            out = f"runs/pretrain/{row.recipe.replace('/', '-')}-{row.architecture}"
            changes = "".join(f" --set {setting}" for setting in settings.split("+") if setting)
            images = IMAGES[row.pretrain_data].folder
            lines[
                f"densebench pretrain {row.method} --arch {row.architecture} --images {images} "
                f"--recipe {recipe}{changes} --out {out}"
            ] = None
            checkpoint = f"{out}/checkpoint.safetensors"
        lines[
            f"densebench run {row.task} --checkpoint {checkpoint} --arch {row.architecture} --mode finetune "
            "--seeds 0 1 2 3 4 --data-root DATA"
        ] = None
    return "".join(f"{line}\n" for line in lines)


def _same_data(printed: str, recorded: str, count: object) -> bool:
    """Compare name and number of the images; a part of ImageNet is not ImageNet."""
    images = IMAGES[printed]
    parts = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in recorded.split("/")]
    named = recorded == printed or any(parts[-len(name.split("/")) :] == name.split("/") for name in images.names)
    return named and count == images.count


def _same_epochs(printed: str, recorded: object) -> bool:
    """Compare epochs where the paper prints them; a run has a whole number of steps, and so nearly as many."""
    try:
        return math.isclose(float(printed), float(str(recorded)), rel_tol=1e-3)
    except ValueError:
        return not printed.replace(".", "").isdigit()
