"""numpy's files: one array (`.npy`), which may be a pickled dictionary, or several in a zip (`.npz`)."""

from __future__ import annotations

import ast
import io
import math
from typing import Any

from pretrain.archive import Archive
from pretrain.pickle_file import read_pickle
from pretrain.pickle_objects import NUMPY, array
from pretrain.stored import BYTES, Stored

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # numpy's own limit


def read_npy(data: Any, start: int, end: int) -> tuple[Any, list[str]]:
    """Read an array that begins at a byte of `data`; one of objects is a pickle.

    Raises:
        Exception: It is damaged; of any kind.
    """
    version = data[start + 6]
    width = 2 if version == 1 else 4
    length = int.from_bytes(data[start + 8 : start + 8 + width], "little")
    if data[start : start + 6] != MAGIC or length > _LONGEST_HEADER:
        raise ValueError("an array without its header")
    begin = start + 8 + width + length
    header = ast.literal_eval(data[start + 8 + width : begin].decode("latin1").strip())
    code, shape, fortran = header["descr"], header["shape"], bool(header["fortran_order"])
    if not isinstance(code, str):
        return "an array of records", []
    if code.endswith("O"):
        value, stubs = read_pickle(io.BytesIO(data[begin:end]))
        return getattr(value, "value", value), stubs
    dtype = NUMPY.get(code.lstrip("|<>="))
    if dtype is None:
        return f"an array of {code[:20]}", []
    if fortran or code.startswith(">"):
        return array(shape, code, data[begin:end], fortran=fortran), []
    if math.prod(shape) * BYTES[dtype] != end - begin:
        raise ValueError("an array that has not the size of its shape")
    return Stored.within(shape, dtype, data, begin, room=math.prod(shape)), []


def read_npz(archive: Archive) -> tuple[dict[str, Any], list[str]]:
    """Read the arrays of a zip; packed ones are unpacked.

    Raises:
        Exception: It is damaged; of any kind.
    """
    tree: dict[str, Any] = {}
    stubs: set[str] = set()
    for name, entry in archive.entries.items():
        if entry.compress_type:
            content: Any = archive.read(name)
            start, end = 0, len(content)
        else:
            content = archive.data
            start, size = archive.stored(name)
            end = start + size
        tree[name.removesuffix(".npy")], found = read_npy(content, start, end)
        stubs.update(found)
    return tree, sorted(stubs)
