"""Reading tensors and plain containers out of a pickle; every other class or function in it stays an inert stub.

Nothing that a pickle names is looked up: a handful of names stand for functions of this file, which only keep what
they are given, and all others for `Stub`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pretrain.stored import BYTES, Stored

if TYPE_CHECKING:
    from mmap import mmap

MOST = 1_000_000  # entries, for a few bytes can say "ten times the last list" again and again
LONGEST = 10_000  # entries of a list that may hold tensors; longer ones are labels and the like
DEEPEST = 40


class Stub:
    """What stands for an object of a class that is not admitted: its arguments and state, and nothing that acts."""

    parts: dict[str, Any]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Stub:
        """Keep the arguments."""
        stub = super().__new__(cls)
        stub.parts = {**{str(number): one for number, one in enumerate(arguments)}, **keywords}
        return stub

    def __call__(self, *arguments: Any) -> Stub:
        """Stand for what calling the object would return, too."""
        return Stub(self, *arguments)


class Storage:
    """The numbers behind one or several of torch's tensors; the container's reader says where they are."""

    def __init__(self, dtype: str, count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.data: mmap | bytes = b""
        self.offset = 0


class _View:
    """One of torch's tensors: a part of a storage."""

    def __init__(self, storage: Any, skipped: Any, shape: Any, strides: Any, dtype: str | None = None) -> None:
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without its storage")
        self.storage, self.skipped, self.shape, self.strides = storage, skipped, shape, strides
        self.dtype = dtype or storage.dtype

    def stored(self) -> Stored:
        room = self.storage.count * BYTES[self.storage.dtype] // BYTES[self.dtype]
        place = {"room": room, "skipped": self.skipped, "strides": self.strides}
        return Stored.within(self.shape, self.dtype, self.storage.data, self.storage.offset, **place)


class _Dtype:
    """numpy's name of a type."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code if isinstance(code, str) else "?"
        self.order = ""

    def build(self, state: Any) -> None:
        self.order = state[1] if isinstance(state[1], str) else ""

    def __str__(self) -> str:
        return f"{self.order}{self.code}"


class _Array:
    """An array of numpy's; numpy's pickles begin with an empty one, whose state brings all."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = "an array"

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = array(shape, str(dtype), data, fortran=bool(fortran))


NUMPY = {f"f{size}": f"float{8 * size}" for size in (2, 4, 8)}
NUMPY |= {f"i{size}": f"int{8 * size}" for size in (1, 2, 4, 8)} | {f"u{size}": f"uint{8 * size}" for size in (1, 2, 4)}
NUMPY |= {"u8": "uint64", "b1": "bool"}


def array(shape: Any, code: str, data: Any, *, fortran: bool) -> Any:
    """Return an array's numbers as a tensor; one of objects as a list, and any other kind as words."""
    if code.lstrip("|<>=")[:1] == "O":
        return data[0] if isinstance(data, list) and shape == () and len(data) == 1 else data
    dtype = NUMPY.get(code.lstrip("|<>="))
    if dtype is None:
        return f"an array of {code[:20]}"
    data = data.encode("latin1") if isinstance(data, str) else bytes(data)
    if code.startswith(">"):
        import numpy as np

        data = np.frombuffer(data, dtype=code).astype(code.replace(">", "<")).tobytes()
    strides = None
    if fortran:
        strides = [1]
        for size in shape[:-1]:
            strides.append(strides[-1] * max(1, size))
        strides = strides[: len(shape)]
    return Stored.within(shape, dtype, data, room=len(data) // BYTES[dtype], strides=strides)


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
        admitted = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if admitted is not None:
            return admitted
        if module in ("torch", "torch.cuda", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in BYTES:
            return f"torch.{name}"
        if (module, name) not in _HARMLESS:
            self.stubs.add(printable(f"{module}.{name}")[:100])
        return Stub

    def persistent_load(self, pid: Any) -> Any:
        return Stub() if self.persistent is None else self.persistent(pid)

    # Of the opcodes, these could do more than keep data: setting attributes of what is admitted, hashing a tuple
    # that is nested deeper than the processor's stack, giving memory for bytes that are not there.

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], _Array | _Dtype):
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
        entries[_key(key)] = value
    return holder


def _extend(holder: Any, items: list[Any]) -> None:
    if isinstance(holder, Stub):
        holder.parts |= {str(len(holder.parts) + number): item for number, item in enumerate(items)}
    elif isinstance(holder, list):
        holder.extend(items)
    else:
        raise pickle.UnpicklingError("entries of what is no list")


def _key(key: Any) -> str:
    return str(key) if isinstance(key, str | bytes | int | float | None) else f"a {type(key).__name__}"


def _ordered(items: Any = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        key, value = item
        found[_key(key)] = value
    return found


def _rebuild_tensor(storage: Any, skipped: Any, shape: Any, strides: Any, *_: Any) -> _View:
    return _View(storage, skipped, shape, strides)


def _rebuild_tensor_v3(
    storage: Any, skipped: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> _View:
    return _View(storage, skipped, shape, strides, dtype.removeprefix("torch."))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    if function not in (_rebuild_tensor, _rebuild_tensor_v3, _rebuild_parameter):
        raise pickle.UnpicklingError("a tensor of an unknown kind")
    return function(*arguments)


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return array((), str(dtype), [data] if str(dtype).endswith("O") else data, fortran=False)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """Return the array of protocol 5."""
    return array(shape, str(dtype), data, fortran=order == "F")


def _encode(text: Any, encoding: Any = None) -> bytes:
    """Return the bytes that protocol 2 writes as text."""
    return bytes(text.encode("latin1"))


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    ("torch", "Size"): _size,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
_HARMLESS = {("argparse", "Namespace"), ("numpy", "ndarray"), ("torch", "device"), ("torch", "Tensor")}
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}


def printable(name: str) -> str:
    """Return a name from a file as it may be shown: what no screen should be sent is spelt out."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def plain(value: Any) -> Any:
    """Turn what a pickle held into nested dicts with `Stored` tensors; of an object, its arguments and state.

    Raises:
        Exception: It is nested too deeply, has too many entries, or a tensor does not lie within its storage.
    """
    return _Plain()(value)


class _Plain:
    """Turn what was read into nested dicts; counts what it turns."""

    def __init__(self) -> None:
        self.entries = 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > DEEPEST or self.entries > MOST:
            raise pickle.UnpicklingError("nested deeper, or of more entries, than a checkpoint is")
        if isinstance(value, _Array):
            value = value.value
        if isinstance(value, _View):
            return value.stored()
        if isinstance(value, Stub):
            value = value.parts
        if isinstance(value, list | tuple) and len(value) <= LONGEST:
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            return {printable(str(key)): self(one, depth + 1) for key, one in value.items()}
        return value if isinstance(value, Stored | str | int | float | bool | None) else type(value).__name__
