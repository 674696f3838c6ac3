"""What is in a checkpoint file, told from its headers: container, format, architecture, trunks, what is dropped.

No tensor's numbers are read and torch is not imported, so that a file of gigabytes takes no longer than a small one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import intake
from benchmark.restated import restated
from benchmark.source import tensor_names
from pretrain import tensor_file
from pretrain.errors import DensebenchError, UsageError
from pretrain.plain import printable


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    Attributes:
        path: The file, or the folder.
        container: What kind of file it is, in words.
        size_bytes: Its size; of a folder, that of its weights.
        tensors: All its tensors.
        parameters: Numbers in all its tensors, buffers included.
        dtypes: Types of its tensors and how many there are of each.
        prefixes: First two parts of the tensors' names and how many tensors begin so.
        sha256: Digests of the files that hold the tensors, where they were asked for.
        formats: All naming formats that the names fit.
        format: The one that is read; None where no format fits, and `problem` says why.
        evidence: What tells the format.
        arch: Architecture; None where there is none that is served.
        trunk: Tensors that stand where the trunk's do; whether they are whole and fit is proved by converting.
        candidates: The networks that the file holds, where its names tell several apart.
        taken: The one that is taken.
        why: Why it is that one.
        dropped: What converting it would leave out: names and why.
        mean: Input mean in units of 0..255, in `channel_order`; None where the format is unknown.
        std: Input standard deviation, likewise.
        channel_order: "RGB" or "BGR", likewise.
        meta: What the file says of its pretraining.
        notes: What reading it changed, a sentence each.
        inert: Classes and functions that the file names; none of them is looked up.
        problem: Why it cannot be read as a backbone; empty where it can.
    """

    path: str
    container: str
    size_bytes: int
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    prefixes: dict[str, int]
    sha256: dict[str, str] = field(default_factory=dict)
    formats: list[str] = field(default_factory=list)
    format: str | None = None
    evidence: str = ""
    arch: str | None = None
    trunk: int = 0
    candidates: list[str] = field(default_factory=list)
    taken: str = ""
    why: str = ""
    dropped: dict[str, str] = field(default_factory=dict)
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    channel_order: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    inert: list[str] = field(default_factory=list)
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)

    def report(self) -> str:
        """Return the inspection as lines of text."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.dtypes.items())
        others = [name for name in self.formats if name != self.format]
        lines = [
            f"{self.path}",
            f"  container  {self.container}, {self.size_bytes / 1e6:.1f} MB",
            *(f"  sha256     {digest}  {name}" for name, digest in self.sha256.items()),
            f"  format     {self.format or 'unknown'}" + (f" ({self.evidence})" if self.evidence else ""),
            *([f"  also fits  {', '.join(others)}"] if others and self.format else []),
            f"  arch       {self.arch or 'unknown'}",
            *(["  trunks     " + self._trunks()] if self.candidates else []),
            f"  tensors    {self.tensors} ({kinds}), {self.parameters:,} numbers",
            *(
                [f"  trunk      {self.trunk} tensors; whether they are whole and fit, `convert` proves"]
                * bool(self.trunk)
            ),
            "  names      " + ", ".join(f"{name} ({count})" for name, count in self.prefixes.items()),
            *self._dropped(),
        ]
        if self.mean and self.std:
            mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
            lines.append(f"  input      {self.channel_order}, mean {mean}, std {std}")
        said = {name: value for name, value in self.meta.items() if name not in ("mean", "std", "arch")}
        lines += [f"  {name:10} {printable(str(value))}" for name, value in said.items()]
        if self.inert:
            lines.append(f"  not run    {', '.join(self.inert)}")
        lines += [f"  note       {note}" for note in self.notes]
        if self.problem:
            lines.append(f"  problem    {self.problem}")
        return "\n".join(lines)

    def _trunks(self) -> str:
        others = ", ".join(name for name in self.candidates if name != self.taken)
        return f"{self.taken} is taken: {self.why}" + (f" (--trunk takes another: {others})" if others else "")

    def _dropped(self) -> list[str]:
        """Return a line for every reason, with the names' beginnings."""
        lines = []
        for reason in dict.fromkeys(self.dropped.values()):
            names = [name for name, why in self.dropped.items() if why == reason]
            starts = Counter(_prefix(name) if len(names) > 8 else name for name in names)
            shown = [f"{start}*" if start.endswith(".") else start for start in list(starts)[:12]]
            more = f" and {len(starts) - 12} more" if len(starts) > 12 else ""
            lines.append(f"  dropped    {', '.join(shown)}{more}: {reason}")
        return lines


def inspect(path: Path, trunk: str | None = None, *, format: str | None = None, sha256: bool = False) -> Inspection:
    """Look into a checkpoint file without reading its tensors.

    A file of tensors whose names fit no format is described too, with the reason in `problem`.

    Args:
        path: The file, or a folder of the Hugging Face hub.
        trunk: One of several networks in it.
        format: The naming format; by default it is found out.
        sha256: Digest the whole file, which takes the time of reading it.

    Raises:
        DensebenchError: The file cannot be read at all, or holds no tensor.
        UsageError: There is no such format or trunk.
    """
    path = Path(path)
    contents = tensor_file.read(path)
    tree, metadata = contents.tree, contents.metadata
    tensors = tensor_names(tree)
    if not tensors:
        raise intake.no_format(path, tree)
    prefixes = Counter(_prefix(name) for name in tensors)
    found = Inspection(
        path=str(path),
        container=contents.container,
        size_bytes=sum(file.stat().st_size for file in contents.files),
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values())),
        prefixes=dict(prefixes.most_common(12)),
        sha256={file.name: _digest(file) for file in contents.files} if sha256 else {},
        formats=intake.fits(tree, metadata),
        inert=list(contents.inert),
    )
    if format is not None:
        intake.load(format)
    try:
        source = restated(path, intake.read(path, tree, metadata, format=format, trunk=trunk), metadata, {})
    except DensebenchError as error:
        if trunk is not None and isinstance(error, UsageError):
            raise
        return dataclasses.replace(found, problem=str(error))
    return dataclasses.replace(
        found,
        format=source.format,
        evidence=source.evidence if format is None else "as you asked",
        arch=source.arch,
        trunk=len(source.tensors),
        candidates=source.candidates,
        taken=source.trunk,
        why=source.why,
        dropped=source.dropped,
        mean=source.mean,
        std=source.std,
        channel_order=source.channel_order,
        meta=source.meta,
        notes=source.notes,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prefix(name: str) -> str:
    """Return a tensor's first two name parts, "state_dict.layer1.", or the whole of a shorter name."""
    parts = name.split(".")
    return name if len(parts) < 3 else f"{parts[0]}.{parts[1]}."
