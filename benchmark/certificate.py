"""The Certificate: what converting a checkpoint proved, and why it did not where it did not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from benchmark.typed import misfit

THRESHOLD = 1e-5
"""Largest difference of two float32 feature maps, relative to their largest value, that passes as none."""


class StageParity(TypedDict):
    """How far one stage's maps of the source network and of the mm* backbone are apart, at most, over two image sizes.

    `weights` is "own" for the checkpoint's, "probe" for the same network with random scales and biases, in which no
    branch is silent; `max_rel` is `max_abs` over the largest absolute value of the source's map.
    """

    weights: str
    stage: str
    max_abs: float
    max_rel: float


@dataclass(frozen=True)
class Certificate:
    """What a conversion proved; names of tensors are listed in full.

    Attributes:
        format: Naming format of the source.
        arch: Architecture of the source.
        target: Package whose backbone was filled.
        filled: Parameters and buffers of the target that were filled.
        dropped: What the source has and the target does not want, left out on purpose.
        missing: The target's names that the source does not fill.
        leftover: The source's trunk names that have no place in the target.
        mismatched: Tensors of another shape, with both shapes.
        nonfinite: Tensors that hold NaN or infinity.
        parity: Differences of the feature maps, stage by stage; empty where they could not be compared.
        threshold: The largest `max_rel` that passes.
        untrained: Every norm scale is exactly 0 or 1 and every norm bias exactly 0.
        allow_untrained: The user let an untrained network pass.
        position_embedding: Their grid and how they were interpolated; None where there are none.
        digest: sha256 over the converted trunk; `random:<arch>:<init>` for a random init.
        known_file: The file's name where torchvision publishes this very file.
        traits: What the backbone was built with beyond its architecture, such as `{"padding": "same"}`.
        notes: What else one should know, a sentence each.
        reasons: Why it is not certified, a sentence each.
    """

    format: str
    arch: str
    target: Literal["mmdet", "mmseg"]
    filled: int
    digest: str
    dropped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    leftover: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    nonfinite: list[str] = field(default_factory=list)
    parity: list[StageParity] = field(default_factory=list)
    threshold: float = THRESHOLD
    untrained: bool = False
    allow_untrained: bool = False
    position_embedding: str | None = None
    known_file: str | None = None
    traits: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything was proved."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the verdict under "ok"."""
        return {"ok": self.ok, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Any) -> Certificate:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: It is no certificate, or one of another version: a field is unknown, missing or of another type.
        """
        if not isinstance(values, dict):
            raise ValueError(f"it is a {type(values).__name__}, not an object")
        given = {name: value for name, value in values.items() if name != "ok"}
        fields = {one.name: one for one in dataclasses.fields(cls)}
        if unknown := given.keys() - fields:
            raise ValueError(f"another version of densebench wrote it, with the fields {', '.join(sorted(unknown))}")
        required = {name for name, one in fields.items() if one.default is one.default_factory is dataclasses.MISSING}
        if lost := required - given.keys():
            raise ValueError(f"it has no {', '.join(sorted(lost))}")
        if wrong := misfit(cls, given):
            raise ValueError(wrong)
        return cls(**given)

    def report(self) -> str:
        """Return the certificate as lines of text."""
        verdict = "certified" if self.ok else "NOT CERTIFIED"
        lines = [f"{verdict}: {self.format} {self.arch} -> {self.target}"]
        lines += [f"  why not    {reason}" for reason in self.reasons]
        lines.append(f"  tensors    {self.filled} filled, {len(self.missing)} missing, {len(self.leftover)} left over")
        if self.dropped:
            lines.append(f"  dropped    {_listed(self.dropped)}")
        lines += self._parity_lines()
        lines += [f"  {name:10} {value}" for name, value in self.traits.items()]
        if self.position_embedding:
            lines.append(f"  positions  {self.position_embedding}")
        if self.untrained:
            lines.append(f"  untrained  yes, {'and allowed' if self.allow_untrained else 'and not allowed'}")
        lines.append(f"  digest     {self.digest}")
        if self.known_file:
            lines.append(f"  known as   torchvision's {self.known_file}")
        lines += [f"  note       {note}" for note in self.notes]
        return "\n".join(lines)

    def _parity_lines(self) -> list[str]:
        if not self.parity:
            return ["  parity     not compared"]
        lines = [f"  parity     {'stage':6}{'weights':8}{'max abs':>9}{'max rel':>9}  (at most {self.threshold:g})"]
        for row in self.parity:
            apart = f"{row['max_abs']:9.1e}{row['max_rel']:9.1e}"
            lines.append(f"             {row['stage']:6}{row['weights']:8}{apart}")
        return lines


def _listed(names: list[str], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
