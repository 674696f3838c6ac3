"""A certified trunk as a file for other code bases, read back and certified before anybody hears that it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import convert, destination, outlet
from benchmark.certificate import Certificate
from pretrain.errors import DensebenchError
from pretrain.files import drafted


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        certificate: Of the written file, read back by our own intake.
        notes: How to load it, a sentence each.
    """

    certificate: Certificate
    notes: Sequence[str]


def export(
    path: Path,
    to: str,
    out: Path,
    *,
    arch: str | None = None,
    allow_untrained: bool = False,
    format: str | None = None,
    trunk: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = print,
) -> Export:
    """Convert a checkpoint file for another code base.

    Args:
        path: A file of any format in `benchmark.intake`.
        to: A target in `benchmark.outlet`.
        out: What to write: a file with the target's suffix, or a folder.
        arch: See `convert.convert`; likewise the others.
        allow_untrained: Likewise.
        format: Likewise.
        trunk: Likewise.
        inputs: Likewise.
        tell: Receives the certificate of a checkpoint that is refused.

    Raises:
        DensebenchError: The checkpoint is not certified, the target has no such network, or what was written is not
            read back as it was.
        UsageError: There is no such target, or it does not write such a path, or would over the checkpoint.
    """
    target, out = outlet.load(to), Path(out)
    outlet.check(target, out)
    destination.check_apart(path, out)
    backbone = convert.convert(
        path, arch=arch, allow_untrained=allow_untrained, format=format, trunk=trunk, inputs=inputs
    )
    if not backbone.certificate.ok:
        tell(backbone.certificate.report())
    convert.require(backbone, to)
    said = target.traits(backbone.arch) if hasattr(target, "traits") else ()
    unsaid = {name: value for name, value in backbone.traits.items() if name not in said}
    if unsaid:
        traits = ", ".join(f"{name}: {value}" for name, value in unsaid.items())
        raise DensebenchError(
            f"{to} has no {backbone.arch} with {traits}: it would load the tensors and compute other features.",
            "densebench itself takes the file to mmdet and mmseg as it is.",
        )
    with drafted(out) as draft:
        notes = [note.replace(str(draft), str(out)) for note in target.write(draft, backbone)]
        written = draft / "model.safetensors" if draft.is_dir() else draft
        back = convert.require(convert.convert(written, allow_untrained=allow_untrained))
        if (back.certificate.format, back.certificate.digest) != (target.FORMAT, backbone.certificate.digest):
            raise DensebenchError(
                f"{out} was not written: it would be read back as another network.", "Please report it."
            )
    if (back.mean, back.std, back.channel_order) != (backbone.mean, backbone.std, backbone.channel_order):
        mean, std = ([round(value, 3) for value in values] for values in (backbone.mean, backbone.std))
        notes.append(
            f"The file cannot say so: its images are {backbone.channel_order}, mean {mean}, std {std} in 0..255."
        )
    return Export(back.certificate, notes)
