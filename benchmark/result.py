"""One run = one record: a JSON file that is whole or absent, and the seam between runs and tables."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.fingerprint import compare, fingerprint
from benchmark.typed import misfit
from pretrain.claim import claim
from pretrain.errors import DensebenchError, UsageError, one_line, unknown
from pretrain.files import replacing

__all__ = [
    "CHANGED",
    "SCHEMA",
    "Key",
    "Record",
    "claim",
    "compare",
    "differences",
    "exists",
    "fingerprint",
    "gather",
    "read",
    "read_all",
    "write",
]

SCHEMA = 1
FOLDERS = (Path("runs/records"), Path("results/records"))  # where a user's records and the published ones lie
CHANGED = "The task's "  # begins the note of a setting that the user changed
LARGEST = 1e12  # no metric is near it: a number beyond comes of a run that diverged, or of a damaged file
_NEWER = "It was written by a newer densebench: update this one."
_STRANGE = "Keep it in another folder than the records."
_DAMAGED = "Restore it from a copy; without one, delete it and run it again."


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
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not -LARGEST <= value <= LARGEST:
                raise DensebenchError(
                    f"{self.task}, seed {self.seed}: the metric {metric} is {value!r:.40}, not a finite number "
                    f"within {LARGEST:g}.",
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
    def changes(self) -> list[str]:
        """The task's settings that were changed for this run, such as "schedule.iterations was set to 100"."""
        return [note.removeprefix(CHANGED).removesuffix(".") for note in self.notes if note.startswith(CHANGED)]

    @property
    def evaluated(self) -> int | None:
        """How many test images were evaluated; None where the protocol does not say."""
        counts = [self.fingerprint_dict.get(name) for name in ("data.test.images", "max_test_images")]
        return min((count for count in counts if isinstance(count, int)), default=None)

    def scale(self, metric: str) -> str:
        """Return a metric's unit: "percent", "metres" or "ratio"; empty where the record does not say."""
        return str(self.metric_info.get(metric, {}).get("scale", ""))

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
        """Build a record from JSON data; a field that has a default may be absent.

        Raises:
            DensebenchError: Another schema, a field missing, unknown or of another type, or a key that its fields do
                not give.
        """
        if "schema" not in data:
            raise DensebenchError("it has no 'schema', which every record has.", _STRANGE)
        if data["schema"] != SCHEMA:
            mend = _NEWER if isinstance(data["schema"], int) and data["schema"] > SCHEMA else _STRANGE
            raise DensebenchError(f"its schema is {data['schema']!r:.40}, expected {SCHEMA}.", mend)
        content = {name: value for name, value in data.items() if name not in ("schema", "key", "fingerprint")}
        known = {item.name: item.default is MISSING and item.default_factory is MISSING for item in fields(cls)}
        if strange := sorted(content.keys() - known.keys()):
            raise DensebenchError(f"it has the unknown field {strange[0]!r:.40}.", _NEWER)
        if lacking := [name for name, needed in known.items() if needed and name not in content]:
            raise DensebenchError(f"it lacks the field {lacking[0]}.", _DAMAGED)
        if reason := misfit(cls, content):
            raise DensebenchError(f"{reason}.", _DAMAGED)
        record = cls(**content)
        object.__setattr__(record, "metrics", {name: float(value) for name, value in record.metrics.items()})
        if data.get("key") != record.key._asdict() or data.get("fingerprint") != record.fingerprint:
            raise DensebenchError("its key does not follow from its fields.", _DAMAGED)
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
        DensebenchError: The file is missing, not a whole record, or of another schema; the mend is that of the cause.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if not isinstance(data, dict):
            raise DensebenchError(f"it holds a {type(data).__name__}, not an object.", _STRANGE)
        return Record.from_dict(data)
    except OSError as error:
        raise DensebenchError(f"{path} could not be read: {error.strerror}.", "Look at its permissions.") from error
    except DensebenchError as error:
        raise DensebenchError(f"{path} is no record of use: {error.message}", error.mend) from error
    except (ValueError, OverflowError, RecursionError) as error:
        reason = one_line(error).rstrip(".")
        raise DensebenchError(f"{path} is no record of use: {reason}.", "Restore it from a copy.") from error


def gather(named: Sequence[Path] | None = None, tell: Callable[[str], None] | None = None) -> list[Record]:
    """Read the records that a user names, in folders or as single files; by default `FOLDERS`, where they exist.

    Raises:
        UsageError: What is named does not exist.
        DensebenchError: A file that is named is no record.
    """
    for path in named or ():
        if not path.exists():
            raise UsageError(f"There are no records at {path}: it does not exist.", "Name a folder of records, or one.")
    return read_all(named or FOLDERS, tell)


def read_all(places: Iterable[Path], tell: Callable[[str], None] | None = None) -> list[Record]:
    """Read every record, in the order of their file names; of one key the first found counts.

    Args:
        places: Folders to look in (`*.json`, not deeper), one that is missing holding nothing; or single records.
        tell: Receives one sentence for each file of a folder that cannot be used; standard error when None.

    Raises:
        DensebenchError: A single file is no record.
    """
    complain = tell or _to_stderr
    found: dict[Key, tuple[Path, Record]] = {}
    for place in places:
        single = place.is_file()
        for path in [place] if single else sorted(place.glob("*.json")):
            try:
                record = read(path)
            except DensebenchError as error:
                if single:
                    raise
                complain(str(error))
                continue
            first, known = found.setdefault(record.key, (path, record))
            if known.metrics != record.metrics:
                complain(f"{path} is left out: {first} holds other numbers for the same run.")
    return [record for _, record in found.values()]


def differences(records: Iterable[Record], fingerprints: Sequence[str]) -> list[str]:
    """Say in words how the protocols of two fingerprints differ.

    Raises:
        UsageError: They are not two, or no record has one of them.
    """
    if len(fingerprints) != 2:
        raise UsageError(f"Two fingerprints can be compared, not {len(fingerprints)}.", "Name two: --compare A B.")
    known = {record.fingerprint: record.fingerprint_dict for record in records}
    for name in fingerprints:
        if name not in known:
            raise unknown("fingerprint", name, known)
    first, second = (known[name] for name in fingerprints)
    return compare(first, second) or ["The two are the same protocol."]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the number {name} is not finite")


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr)
