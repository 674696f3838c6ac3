"""Reading any file of tensors without running anything that it contains."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open

from pretrain.errors import DensebenchError
from pretrain.pickle_file import read_pickle

Tree = dict[str, Any]

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch's older files begin with, pickled
_FOREIGN = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"<": "a web page: the download probably saved an error page",
    b"version https://git-lfs": "a Git LFS pointer: the file itself was not downloaded",
}
_LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def read(path: Path) -> tuple[Tree, Tree]:
    """Read a file's tensors and plain data.

    The format is told by the content, not by the name: safetensors; torch's zip files, whose checksums are
    verified first (torch itself accepts a flipped byte); and torch's older files and plain pickles of arrays, which
    have no checksums.

    Returns:
        The file's tree as it is (names to tensors, plain values and further trees), and its metadata:
        safetensors' own, or the entry `meta` of a torch file.

    Raises:
        DensebenchError: The file is missing, empty, truncated, damaged, not a checkpoint, or would run code.
    """
    if path.is_dir():
        raise DensebenchError(f"{path} is a folder; a checkpoint file was expected.")
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except FileNotFoundError as error:
        raise DensebenchError(f"There is no checkpoint file {path}.") from error
    except OSError as error:
        raise DensebenchError(f"{path} could not be read: {error.strerror or error}.") from error


def _read(path: Path, file: IO[bytes]) -> tuple[Tree, Tree]:
    head = file.read(64)
    file.seek(0)
    if not head:
        raise DensebenchError(f"{path} is empty; a checkpoint was expected.")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LARGEST_HEADER:
        return _read_safetensors(path)
    if head.startswith(_ZIP):
        _verify_checksums(path, file)
    elif not head.startswith(_PICKLE):
        looks = next((what for start, what in _FOREIGN.items() if head.lstrip().startswith(start)), "")
        raise DensebenchError(f"{path} is not a checkpoint{looks and f' but {looks}'}.")
    elif not head[2:].startswith(_TORCH):
        return _read_pickle(path, file)
    return _read_torch(path, file)


def _read_safetensors(path: Path) -> tuple[Tree, Tree]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise DensebenchError(
            f"{path} is a truncated or damaged safetensors file ({error}).", "Copy it anew."
        ) from error


def _verify_checksums(path: Path, file: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged directory of a zip can raise anything
        raise DensebenchError(f"{path} is truncated or damaged ({error}).", "Copy it anew.") from error
    if damaged:
        raise DensebenchError(
            f"{path} is damaged: the bytes of its entry {damaged} do not have their checksum.",
            "Copy it anew.",
        )
    file.seek(0)


def _read_torch(path: Path, file: IO[bytes]) -> tuple[Tree, Tree]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # many trainers keep their options so
            tree = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and wanted:
            raise _would_run(path, wanted[1]) from error
        raise DensebenchError(f"{path} is truncated, damaged or not a checkpoint of tensors.") from error
    if not isinstance(tree, dict):
        raise DensebenchError(f"{path} holds a {type(tree).__name__}; named tensors were expected.")
    metadata = tree.get("meta")
    return tree, metadata if isinstance(metadata, dict) else {}


def _read_pickle(path: Path, file: IO[bytes]) -> tuple[Tree, Tree]:
    try:
        tree, stubs = read_pickle(file)
    except Exception as error:  # a damaged pickle can raise anything
        raise DensebenchError(f"{path} is truncated, damaged or not a checkpoint of arrays.") from error
    if not isinstance(tree, dict) or not _holds_tensors(tree):
        if stubs:
            raise _would_run(path, stubs[0])
        raise DensebenchError(f"{path} is truncated, damaged or not a checkpoint of arrays.")
    return tree, {}


def _holds_tensors(tree: Any) -> bool:
    return isinstance(tree, torch.Tensor) or (isinstance(tree, dict) and any(map(_holds_tensors, tree.values())))


def _would_run(path: Path, name: str) -> DensebenchError:
    return DensebenchError(
        f"{path} is refused: reading it would run code ({name}), and only plain data is read.",
        "Where you trust its origin, open it there and save its tensors alone.",
    )
