"""Where a conversion may be written, told before any work: not over what is read, and not where something else is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pretrain.errors import UsageError
from pretrain.files import in_the_way


def check_file(out: Path, suffixes: Collection[str]) -> None:
    """Refuse another suffix, and what is no file or stands in no folder.

    Raises:
        UsageError: It is so.
    """
    if out.suffix not in suffixes:
        raise UsageError(f"{out} should end in {' or '.join(suffixes)}.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; a file was expected.", "Choose another --out.")
    _check_above(out)


def check_folder(out: Path) -> None:
    """Refuse what is called like a file, is one, or stands in no folder.

    Raises:
        UsageError: It is so.
    """
    if out.suffix in (".safetensors", ".pth", ".json") or out.is_file():
        raise UsageError(f"{out} should be a folder, for the network is kept in several files.")
    _check_above(out)


def check_apart(source: Path, out: Path) -> None:
    """Refuse to write over what is read, however the two are spelt or linked.

    Args:
        source: The checkpoint, a file or a folder.
        out: What is to be written, likewise.

    Raises:
        UsageError: They are the same.
    """
    read = {source, source / "model.safetensors"}
    written = {out, out / "model.safetensors"}
    if any(one.exists() and other.exists() and one.samefile(other) for one in read for other in written):
        raise UsageError(f"{out} is the checkpoint that is read, and would be written over.", "Choose another --out.")


def _check_above(out: Path) -> None:
    file = in_the_way(out)
    if file is not None:
        raise UsageError(f"{out} cannot be written: {file} is a file, not a folder.", "Choose another --out.")
