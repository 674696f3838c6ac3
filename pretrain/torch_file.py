"""torch's files: the zip that `torch.save` writes since 1.6, and the pickles in a row of before; no torch needed."""

from __future__ import annotations

import io
from mmap import mmap
from typing import Any

from pretrain.archive import Archive
from pretrain.pickle_file import read_pickle
from pretrain.pickle_objects import Storage
from pretrain.stored import BYTES

LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch's older files begin with, pickled
_LARGEST_PICKLE = 1 << 27  # bytes; the descriptions of a ViT-L's training state take 200 kB


def read_zip(archive: Archive) -> tuple[Any, list[str]]:
    """Read the pickle in a zip of torch's; its tensors lie in entries of their own.

    Raises:
        Exception: It is damaged, or not torch's; of any kind.
    """
    pickles = [name for name in archive.entries if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise ValueError("it is no file of torch's: it has no entry data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.entries and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    if archive.entries[pickles[0]].file_size > _LARGEST_PICKLE:
        raise ValueError("its descriptions are larger than a checkpoint's")
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Any:
        dtype, key, count = _storage(pid)
        if key not in storages:
            storages[key] = Storage(dtype, count)
            storages[key].data = archive.data
            storages[key].offset, size = archive.stored(f"{root}data/{key}")
            if size != count * BYTES[dtype]:
                raise ValueError(f"its entry {root}data/{key} has not the size that its tensors need")
        return storages[key]

    return read_pickle(io.BytesIO(archive.read(pickles[0])), persistent)


def read_legacy(data: mmap) -> tuple[Any, list[str]]:
    """Read the pickles of torch's older files (a number, a version, the system, the data, the storages' names).

    Raises:
        Exception: It is damaged; of any kind.
    """
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Any:
        if isinstance(pid, tuple) and pid and pid[0] == "module":
            return pid[1]
        dtype, key, count = _storage(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise ValueError("a storage that is a part of another")
        return storages.setdefault(key, Storage(dtype, count))

    data.seek(0)
    for _ in range(3):
        read_pickle(data)
    value, stubs = read_pickle(data, persistent)
    keys, _ = read_pickle(data)
    if not isinstance(keys, list) or {str(key) for key in keys} != set(storages):
        raise ValueError("its storages are not those that its tensors need")
    place = data.tell()
    for key in map(str, keys):
        storage = storages[key]
        if data[place : place + 8] != storage.count.to_bytes(8, "little"):
            raise ValueError(f"its storage {key} has not the size that its tensors need")
        storage.data, storage.offset = data, place + 8
        place += 8 + storage.count * BYTES[storage.dtype]
        if place > len(data):
            raise ValueError(f"its storage {key} reaches beyond its end")
    return value, stubs


def _storage(pid: Any) -> tuple[str, str, int]:
    """Return type, name and count of numbers of a storage, which torch pickles as a persistent id."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or pid[1] not in BYTES:
        raise ValueError("a storage of an unknown kind")
    if not isinstance(pid[2], str) or type(pid[4]) is not int or not 0 <= pid[4] <= 1 << 44:
        raise ValueError("a storage of an absurd size")
    return pid[1], pid[2], pid[4]
