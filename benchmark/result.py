"""One run = one record: a JSON file that is whole or absent, and the seam between runs and tables."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.fingerprint import compare, fingerprint
from pretrain.claim import claim
from pretrain.errors import DensebenchError
from pretrain.files import replacing

__all__ = [
    "CHANGED",
    "SCHEMA",
    "Key",
    "Record",
    "claim",
    "compare",
    "exists",
    "fingerprint",
    "read",
    "read_all",
    "write",
]

SCHEMA = 1
CHANGED = "The task's "  # begins the note of a setting that the user changed


class Key(NamedTuple):
    """What makes a run one run: the same key is never computed twice.

    `weights` is the sha256 of the trunk's tensors, or `random:<arch>:<init>`.
    """

    weights: str
    fingerprint: str
    seed: int

    def path(self, folder: Path) -> Path:
        """Return the file that holds this key's record in `folder`."""
        weights = re.sub(r"[^A-Za-z0-9.-]+", "-", self.weights)
        if re.fullmatch(r"[0-9a-f]{64}", weights):
            weights = weights[:16]
        return folder / f"{weights}_{self.fingerprint}_{self.seed}.json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One fine-tuning run and its measured numbers, as full floats in the unit that the task fixes.

    `key` and `fingerprint` follow from `weights`, `fingerprint_dict` and `seed`. Everything from `partial`
    on is provenance: it says how the numbers came about and is no part of the key.

    Raises:
        DensebenchError: A metric is not a finite number, or has no direction.
    """

    weights: str
    method: str  # "densecl", "random", ...
    name: str  # what the user calls this checkpoint
    arch: str
    checkpoint: str  # file name or "random"
    certificate: dict[str, Any] | None
    task: str
    mode: str  # "finetune", "frozen" or "linear"
    fingerprint_dict: dict[str, Any]
    seed: int
    pretrain_seed: int | None
    metrics: dict[str, float]
    directions: dict[str, str]  # "higher" or "lower" is better
    headline: str  # the key of the first metric of the task
    metric_info: dict[str, dict[str, Any]] = field(default_factory=dict)  # {key: {"label", "scale", ...}}
    pretraining: dict[str, Any] = field(default_factory=dict)  # {"recipe", "data", "epochs", ...}
    partial: bool = False  # fewer images than the official set
    notes: list[str] = field(default_factory=list)
    world_size: int = 1
    precision: str = "float32"
    wall_time_s: float = 0.0
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    commit: str = ""
    data: dict[str, Any] = field(default_factory=dict)  # {"name", manifest hashes, counts}

    def __post_init__(self) -> None:
        for metric, value in self.metrics.items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
                raise DensebenchError(
                    f"{self.task}, seed {self.seed}: the metric {metric} is {value}, not a finite number.",
                    "A diverged run has no record: look at its loss, and lower the learning rate.",
                )
            if self.directions.get(metric) not in ("higher", "lower"):
                raise DensebenchError(
                    f"The metric {metric} of {self.task} has the direction {self.directions.get(metric)!r}, "
                    "expected 'higher' or 'lower'."
                )
        if self.headline not in self.metrics:
            raise DensebenchError(f"The headline {self.headline} of {self.task} is not among its metrics.")

    @property
    def fingerprint(self) -> str:
        """Hash of the protocol; only records with the same one are comparable."""
        return fingerprint(self.fingerprint_dict)

    @property
    def changed(self) -> bool:
        """Whether a setting of the task was changed for this run."""
        return any(note.startswith(CHANGED) for note in self.notes)

    @property
    def is_random(self) -> bool:
        """Whether this is the control row, drawn anew for its seed, whatever its names say."""
        return self.weights.startswith("random:")

    @property
    def key(self) -> Key:
        """What makes this run one run."""
        return Key(self.weights, self.fingerprint, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return {"schema": SCHEMA, "key": self.key._asdict(), "fingerprint": self.fingerprint, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Build a record from JSON data.

        Raises:
            ValueError: Another schema, a field missing or unknown, or a key that its fields do not give.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"expected schema {SCHEMA}, found {data.get('schema')!r}")
        content = {name: value for name, value in data.items() if name not in ("schema", "key", "fingerprint")}
        known = {item.name for item in fields(cls)}
        if content.keys() != known:
            raise ValueError(f"fields missing or unknown: {', '.join(sorted(content.keys() ^ known))}")
        record = cls(**content)
        if data.get("key") != record.key._asdict() or data.get("fingerprint") != record.fingerprint:
            raise ValueError("its key does not follow from its fields")
        return record


def exists(key: Key, folder: Path) -> bool:
    """Say whether `folder` holds a record of this key: such a run is not run again."""
    return key.path(folder).is_file()


def write(record: Record, folder: Path, *, replace: bool = False) -> Path:
    """Write a record, whole or not at all, and return its path.

    Args:
        record: What was measured.
        folder: Where records lie; made when missing.
        replace: Redo a record that exists (`--force`).

    Raises:
        DensebenchError: Another process is writing this record, it exists already, or the disk is full.
    """
    path = record.key.path(folder)
    try:
        content = json.dumps(record.to_dict(), indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise DensebenchError(f"{record.task}, seed {record.seed}: a record holds finite numbers only.") from error
    with claim(path):
        if path.exists() and not replace:
            raise DensebenchError(f"The record {path} exists already.", "Use --force to redo the run.")
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return path


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        DensebenchError: The file is missing, not a whole record, or of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if not isinstance(data, dict):
            raise ValueError(f"expected an object, found {type(data).__name__}")
        return Record.from_dict(data)
    except (OSError, ValueError, TypeError, AttributeError, DensebenchError) as error:
        raise DensebenchError(
            f"{path} is not a record of schema {SCHEMA}: {str(error).rstrip('.')}.", "Delete the file to run it again."
        ) from error


def read_all(folders: Iterable[Path], tell: Callable[[str], None] | None = None) -> list[Record]:
    """Read every record in `folders`, in the order of their file names; of one key the first found counts.

    Args:
        folders: Where to look (`*.json`, not deeper); a folder that is missing holds nothing.
        tell: Receives one sentence for each file that cannot be used; standard error when None.
    """
    complain = tell or _to_stderr
    found: dict[Key, tuple[Path, Record]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            try:
                record = read(path)
            except DensebenchError as error:
                complain(str(error))
                continue
            first, known = found.setdefault(record.key, (path, record))
            if known.metrics != record.metrics:
                complain(f"{path} is left out: {first} holds other numbers for the same run.")
    return [record for _, record in found.values()]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the number {name} is not finite")


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr)
