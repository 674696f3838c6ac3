"""What is in a checkpoint file: format, architecture, trunk, and what converting it would drop."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import intake
from benchmark.source import tensor_names
from pretrain import checkpoint
from pretrain.errors import DensebenchError


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    Attributes:
        path: The file.
        size_bytes: Its size.
        tensors: All its tensors.
        parameters: Numbers in all its tensors, buffers included.
        dtypes: Types of its tensors and how many there are of each.
        prefixes: First two parts of the tensors' names and how many tensors begin so.
        format: Naming format; None where no format fits, and `problem` says why.
        arch: Architecture; None likewise.
        trunk: Tensors of the trunk.
        dropped: What converting it would leave out, by name.
        mean: Input mean in units of 0..255, in `channel_order`; None where the format is unknown.
        std: Input standard deviation, likewise.
        channel_order: "RGB" or "BGR", likewise.
        meta: What the file says of its pretraining.
        notes: What reading it changed, a sentence each.
        problem: Why it cannot be read as a backbone; empty where it can.
    """

    path: str
    size_bytes: int
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    prefixes: dict[str, int]
    format: str | None = None
    arch: str | None = None
    trunk: int = 0
    dropped: list[str] = field(default_factory=list)
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    channel_order: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dataclasses.asdict(self)

    def report(self) -> str:
        """Return the inspection as lines of text."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.dtypes.items())
        lines = [
            f"{self.path}",
            f"  format     {self.format or 'unknown'}",
            f"  arch       {self.arch or 'unknown'}",
            f"  size       {self.size_bytes / 1e6:.1f} MB; {self.tensors} tensors ({kinds})",
            f"  trunk      {self.trunk} tensors; {self.parameters:,} numbers in the whole file",
            "  names      " + ", ".join(f"{name} ({count})" for name, count in self.prefixes.items()),
        ]
        if self.dropped:
            lines.append(f"  dropped    {', '.join(self.dropped)}")
        if self.mean and self.std:
            mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
            lines.append(f"  input      {self.channel_order}, mean {mean}, std {std}")
        lines += [f"  {name:10} {value}" for name, value in self.meta.items() if name not in ("mean", "std", "arch")]
        lines += [f"  note       {note}" for note in self.notes]
        if self.problem:
            lines.append(f"  problem    {self.problem}")
        return "\n".join(lines)


def inspect(path: Path, trunk: str | None = None) -> Inspection:
    """Look into a checkpoint file without building a network.

    A file whose names fit no format is described too, with the reason in `problem`. `trunk` names one of several
    networks in it.

    Raises:
        DensebenchError: The file cannot be read at all.
    """
    path = Path(path)
    tree, metadata = checkpoint.read_tensors(path)
    tensors = tensor_names(tree)
    prefixes = Counter(_prefix(name) for name in tensors)
    found = Inspection(
        path=str(path),
        size_bytes=path.stat().st_size,
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values())),
        prefixes=dict(prefixes.most_common(12)),
    )
    try:
        source = intake.detect(path, tree, metadata).read(path, tree, metadata, trunk)
    except DensebenchError as error:
        return dataclasses.replace(found, problem=str(error))
    return dataclasses.replace(
        found,
        format=source.format,
        arch=source.arch,
        trunk=len(source.tensors),
        dropped=source.dropped,
        mean=source.mean,
        std=source.std,
        channel_order=source.channel_order,
        meta=source.meta,
        notes=source.notes,
    )


def _prefix(name: str) -> str:
    """Return a tensor's first two name parts, "state_dict.layer1.", or the whole of a shorter name."""
    parts = name.split(".")
    return name if len(parts) < 3 else f"{parts[0]}.{parts[1]}."
