"""Reading any file of tensors without running anything that it contains, and without torch."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretrain.archive import Archive
from pretrain.contents import Contents, damaged
from pretrain.errors import DensebenchError
from pretrain.numpy_file import MAGIC, read_npy, read_npz
from pretrain.pickle_file import read_pickle
from pretrain.plain import plain
from pretrain.safetensors_file import LARGEST_HEADER, read_safetensors
from pretrain.snapshot import read_folder
from pretrain.stored import Stored
from pretrain.torch_file import LEGACY, read_legacy, read_zip

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl", ".npy", ".npz")
_FOREIGN = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"<": "a web page: the download probably saved an error page",
    b"version https://git-lfs": "a Git LFS pointer: the file itself was not downloaded",
}


def read(path: Path) -> Contents:
    """Read what a file says of its tensors and its plain data.

    The kind is told by the content, not by the name: safetensors; torch's zip files and its older ones; numpy's
    files; pickles of arrays; a folder of the Hugging Face hub with `config.json` and one of the former.

    Raises:
        DensebenchError: The file is missing, empty, truncated, damaged, not a checkpoint, or holds nothing but what
            would run code.
    """
    try:
        if path.is_dir():
            return read_folder(path, _read)
        return _read(path)
    except FileNotFoundError as error:
        raise DensebenchError(f"There is no checkpoint file {path}.") from error
    except OSError as error:
        raise DensebenchError(f"{path} could not be read: {error.strerror or error}.") from error


def _read(path: Path) -> Contents:
    with path.open("rb") as file:
        head = file.read(64)
        if not head:
            raise DensebenchError(f"{path} is empty; a checkpoint was expected.")
        kind = _kind(path, head)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        return _describe(path, kind, data)
    except DensebenchError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise damaged(path, kind, error) from error


def _kind(path: Path, head: bytes) -> str:
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LARGEST_HEADER:
        return "safetensors"
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(MAGIC):
        return "numpy (npy)"
    if head.startswith(_PICKLE):
        return "torch (legacy)" if head[2:].startswith(LEGACY) else "pickle"
    looks = next((what for start, what in _FOREIGN.items() if head.lstrip().startswith(start)), "")
    if path.suffix == ".safetensors" and not looks:
        raise damaged(path, "safetensors", ValueError("it does not begin with a header"))
    mend = "Copy it anew if it was one." if path.suffix in _SUFFIXES and not looks else ""
    raise DensebenchError(f"{path} is not a checkpoint{looks and f' but {looks}'}.", mend)


def _describe(path: Path, kind: str, data: mmap.mmap) -> Contents:
    if kind == "safetensors":
        tree, metadata = read_safetensors(data)
        return Contents(kind, tree, metadata, (path,))
    checks: tuple[Callable[[], None], ...] = ()
    if kind == "zip":
        archive = Archive(path, data)
        checks = (archive.verify,)
        arrays = all(name.endswith(".npy") for name in archive.entries)
        kind = "numpy (npz)" if arrays else "torch (zip)"
        value, stubs = read_npz(archive) if arrays else read_zip(archive)
    elif kind == "torch (legacy)":
        value, stubs = read_legacy(data)
    elif kind == "numpy (npy)":
        value, stubs = read_npy(data, 0, len(data))
    else:
        value, stubs = read_pickle(data)
    return _contents(path, kind, value, stubs, checks)


def _contents(path: Path, kind: str, value: Any, stubs: list[str], checks: tuple[Callable[[], None], ...]) -> Contents:
    tree = plain(value)
    if isinstance(value, list | tuple | Stored) or not isinstance(tree, dict):
        one = "one tensor" if kind.startswith("torch") else "one array"
        plainly = isinstance(value, list | tuple | str | int | float | bytes | None)
        what = one if isinstance(tree, Stored) else f"a {type(value).__name__}" if plainly else "an object"
        raise DensebenchError(f"{path} holds {what}; named tensors were expected.")
    if not _holds_tensors(tree):
        if stubs:
            raise DensebenchError(
                f"{path} is refused: it holds no tensors, and reading it would run code ({stubs[0]}).",
                "Only plain data is read; where you trust its origin, open it there and save its tensors alone.",
            )
        if kind == "pickle":
            raise ValueError("it holds no arrays")
    metadata = tree.get("meta")
    return Contents(kind, tree, metadata if isinstance(metadata, dict) else {}, (path,), tuple(stubs), checks)


def _holds_tensors(tree: Any) -> bool:
    return isinstance(tree, Stored) or (isinstance(tree, dict) and any(map(_holds_tensors, tree.values())))
