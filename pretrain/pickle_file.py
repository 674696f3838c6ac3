"""Reading arrays and plain containers out of a pickle; every other class or function in it stays an inert stub."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import torch

MOST = 1_000_000  # entries, for a few bytes can say "ten times the last list" again and again


class Stub:
    """What stands for an object of a class that is not admitted: its arguments and state, and nothing that acts."""

    parts: dict[str, Any]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Stub:
        """Keep the arguments."""
        stub = super().__new__(cls)
        stub.parts = {**{str(number): one for number, one in enumerate(arguments)}, **keywords}
        return stub

    def __setstate__(self, state: Any) -> None:
        self.parts["state"] = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.parts[str(key)] = value

    def append(self, value: Any) -> None:
        """Keep what a list's subclass would hold."""
        self.parts[str(len(self.parts))] = value

    def extend(self, values: Any) -> None:
        """Keep what a list's subclass would hold."""
        for value in values:
            self.append(value)


def read_pickle(file: IO[bytes]) -> tuple[Any, list[str]]:
    """Read a pickle without running anything that it names.

    Returns:
        Its plain data (nested dicts, with tensors for arrays; of an object, its arguments and state), and the names
        of the classes and functions that were not admitted.

    Raises:
        Exception: The pickle is damaged; of any kind.
    """
    reader = _Unpickler(file, encoding="latin1")
    whole = reader.load()
    return _Plain()(whole), sorted(reader.stubs)


class _Unpickler(pickle._Unpickler):  # in Python: the one in C gives memory for any place that a file names
    def __init__(self, file: IO[bytes], *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self.stubs: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        admitted = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if admitted is None:
            self.stubs.add(f"{module}.{name}")
        return admitted or Stub

    def persistent_load(self, pid: Any) -> Any:
        return Stub()


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Return the empty array that numpy's pickles begin with; its state brings shape and data."""
    return np.empty(0, dtype=np.int8)


def _from_buffer(data: Any, kind: np.dtype[Any], shape: Any, order: str) -> np.ndarray:
    """Return the array of protocol 5."""
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: np.dtype[Any], data: bytes) -> Any:
    return np.frombuffer(data, dtype=kind)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Return the bytes that protocol 2 writes as text."""
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): Stub,  # named by `_reconstruct` only, which does not ask for it
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}


class _Plain:
    """Turn what was read into nested dicts; counts what it turns."""

    def __init__(self) -> None:
        self.entries = 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > 40 or self.entries > MOST:
            raise pickle.UnpicklingError("nested deeper, or of more entries, than a checkpoint is")
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
                return f"an array of {array.dtype}"
            return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
        if isinstance(value, Stub):
            value = value.parts
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            return {str(key): self(one, depth + 1) for key, one in value.items()}
        return value if isinstance(value, str | int | float | bool | None) else type(value).__name__
