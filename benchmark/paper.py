"""What papers print: the files of `results/paper/`, one number a line."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from pretrain.errors import DensebenchError

PAPERS = Path(__file__).resolve().parent.parent / "results" / "paper"
SEEDS = 5  # runs behind a printed number, where a paper says how many: a cell with fewer is not filled yet
COLUMNS = [
    *("table", "task", "method", "recipe", "pretrain_data", "epochs"),
    *("architecture", "metric", "value", "source"),
]


@dataclass(frozen=True)
class Images:
    """The training images of a data set: where they lie, and how many there are (which nothing else has)."""

    folder: str
    count: int


IMAGES = {
    "ImageNet-1k": Images("DATA/imagenet/train", 1_281_167),
    "COCO train2017": Images("DATA/coco/train2017", 118_287),
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
        DensebenchError: A file is no CSV of these columns, or a line has a cell too few or too many, a value that is
            no number, or pretraining data that is not known.
    """
    return [row for path in sorted(folder.glob("*.csv")) for row in _rows(path)]


def tables(folder: Path = PAPERS) -> list[str]:
    """Name the tables that can be reproduced."""
    return sorted({row.table for row in load(folder)})


def _rows(path: Path) -> list[Printed]:
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.reader(handle)
            header = next(reader, [])
            if header != COLUMNS:
                raise DensebenchError(
                    f"{path} has the columns {header}, expected {COLUMNS}.", "Correct its first line."
                )
            for cells in reader:
                if cells:
                    rows.append(_row(f"{path}, line {reader.line_num}", cells))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DensebenchError(f"{path} is no CSV file: {error}.", "Write it in UTF-8, with commas.") from error
    return rows


def _row(place: str, cells: list[str]) -> Printed:
    if len(cells) != len(COLUMNS):
        raise DensebenchError(
            f"{place} has {len(cells)} cells, expected {len(COLUMNS)}.", "A cell that holds a comma needs quotes."
        )
    row = Printed(*cells)
    if not re.fullmatch(r"-?\d+(\.\d+)?", row.value):
        raise DensebenchError(f"{place}: {row.value!r} is not a number.", "Write the value as the paper prints it.")
    known = ["none"] if row.method == "random" else list(IMAGES)
    if row.pretrain_data not in known:
        raise DensebenchError(
            f"{place}: the pretraining data {row.pretrain_data!r} is not known, expected {' or '.join(known)}.",
            "Correct it, or add the data set to IMAGES in benchmark/paper.py.",
        )
    return row
