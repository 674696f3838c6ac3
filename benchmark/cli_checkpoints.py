"""The verbs of checkpoint files: what is in one, converting it, and its certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.options import (
    NO_NUMBERS,
    AllowUntrained,
    Arch,
    AsJson,
    ChannelOrder,
    Format,
    InputMean,
    InputStd,
    Target,
    Trunk,
)


def inspect(
    checkpoint: Annotated[Path, typer.Argument(help="Any checkpoint file, or a folder of the Hugging Face hub.")],
    trunk: Trunk = None,
    format: Format = None,
    sha256: Annotated[bool, typer.Option("--sha256", help="Digest the whole file, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what is in a file, from its headers: format, architecture, trunks, what is dropped.

    Exit status 1 where it cannot be read as a backbone.
    """
    from benchmark.inspection import inspect as look

    found = look(checkpoint, trunk, format=format, sha256=sha256)
    print(json.dumps(found.to_dict(), indent=1) if as_json else found.report())
    raise typer.Exit(int(bool(found.problem)))


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Any checkpoint file.")],
    to: Annotated[Target, typer.Option(help="The package whose backbone is to be filled.")],
    out: Annotated[Path, typer.Option(help="FILE.pth, .safetensors or .pkl (detectron2), or a folder (hf).")],
    arch: Arch = None,
    format: Format = None,
    trunk: Trunk = None,
    input_mean: InputMean = NO_NUMBERS,
    input_std: InputStd = NO_NUMBERS,
    channel_order: ChannelOrder = None,
    allow_untrained: AllowUntrained = False,
) -> None:
    """Convert strictly and print the certificate; exit status 1 when it is not certified."""
    from benchmark import convert as conversion
    from benchmark.export import export
    from benchmark.normalisation import asked

    how: Any = {
        "arch": arch,
        "format": format,
        "trunk": trunk,
        "inputs": asked(input_mean, input_std, channel_order),
        "allow_untrained": allow_untrained,
    }
    if to == "mmdet" or to == "mmseg":
        conversion.check(checkpoint, out)
        backbone = conversion.convert(checkpoint, to=to, **how)
        print(backbone.certificate.report())
        conversion.write(backbone, out)
        print(f"written    {out}")
    else:
        exported = export(checkpoint, to, out, **how)
        print(exported.certificate.report())
        print(*(f"to load    {note}" for note in exported.notes), sep="\n")
        print(f"written    {out}, and read back with the same tensors")


def certificate(
    file: Annotated[Path, typer.Argument(help="A converted file, or a record.")],
    as_json: AsJson = False,
) -> None:
    """Check a certificate again; exit status 1 with the reasons where it does not hold."""
    from benchmark.recheck import recheck

    found = recheck(file)
    print(json.dumps(found.to_dict(), indent=1) if as_json else found.report())
