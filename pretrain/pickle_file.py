"""Reading tensors and plain containers out of a pickle; every other class or function in it stays an inert stub."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, ClassVar

from pretrain.pickle_objects import ADMITTED, HARMLESS, STORAGES, Array, Dtype, Stub, text_of
from pretrain.plain import printable
from pretrain.stored import BYTES


def read_pickle(file: Any, persistent: Callable[[Any], Any] | None = None) -> tuple[Any, list[str]]:
    """Read a pickle without running anything that it names.

    Args:
        file: Has `read` and `readline`, which return what is there where more is asked for.
        persistent: Turns a persistent id, torch's way to name a storage, into a `Storage`.

    Returns:
        What it holds, to be handed to `plain`, and the names of the classes and functions that were not admitted.

    Raises:
        Exception: The pickle is damaged; of any kind.
    """
    reader = _Unpickler(file, encoding="latin1")
    reader.persistent = persistent
    return reader.load(), sorted(reader.stubs)


class _Unpickler(pickle._Unpickler):  # in Python: the one in C gives memory for any place that a file names
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    persistent: Callable[[Any], Any] | None

    def __init__(self, file: Any, *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self.stubs: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        admitted = ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if admitted is not None:
            return admitted
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        if module == "torch" and name in BYTES:
            return f"torch.{name}"
        if (module, name) not in HARMLESS:
            self.stubs.add(printable(f"{module}.{name}")[:100])
        return Stub

    def persistent_load(self, pid: Any) -> Any:
        return Stub() if self.persistent is None else self.persistent(pid)

    # Of the opcodes, these could do more than keep data: setting attributes of what is admitted, hashing a tuple
    # that is nested deeper than the processor's stack, giving memory for bytes that are not there.

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Array | Dtype):
            self.stack[-1].build(state)
        elif isinstance(self.stack[-1], Stub):
            self.stack[-1].parts["state"] = state

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        _put(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append(_put({}, items))

    def load_append(self) -> None:
        value = self.stack.pop()
        _extend(self.stack[-1], [value])

    def load_appends(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        _extend(self.stack[-1], items)

    def load_empty_set(self) -> None:
        self.stack.append([])

    def load_frozenset(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append(items)

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        self.stack.append(self.read(length))  # type: ignore[attr-defined]

    dispatch |= {
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.ADDITEMS[0]: load_appends,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def _put(holder: Any, items: list[Any]) -> Any:
    entries = holder.parts if isinstance(holder, Stub) else holder
    if not isinstance(entries, dict):
        raise pickle.UnpicklingError("entries of what is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        entries[text_of(key)] = value
    return holder


def _extend(holder: Any, items: list[Any]) -> None:
    if isinstance(holder, Stub):
        holder.parts |= {str(len(holder.parts) + number): item for number, item in enumerate(items)}
    elif isinstance(holder, list):
        holder.extend(items)
    else:
        raise pickle.UnpicklingError("entries of what is no list")
