"""What may stand in a pickle: stubs, torch's storages and tensors, numpy's arrays, and the names that make them.

Nothing that a pickle names is looked up: a handful of names stand for functions of this file, which only keep what
they are given, and all others for `Stub`.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from pretrain.stored import BYTES, Stored

if TYPE_CHECKING:
    from mmap import mmap


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


class View:
    """One of torch's tensors: a part of a storage."""

    def __init__(self, storage: Any, skipped: Any, shape: Any, strides: Any, dtype: str | None = None) -> None:
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without its storage")
        self.storage, self.skipped, self.shape, self.strides = storage, skipped, shape, strides
        self.dtype = dtype or storage.dtype

    def stored(self) -> Stored:
        """Describe the tensor, once the container's reader has said where its storage is."""
        room = self.storage.count * BYTES[self.storage.dtype] // BYTES[self.dtype]
        place = {"room": room, "skipped": self.skipped, "strides": self.strides}
        return Stored.within(self.shape, self.dtype, self.storage.data, self.storage.offset, **place)


class Dtype:
    """numpy's name of a type."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code if isinstance(code, str) else "?"
        self.order = ""

    def build(self, state: Any) -> None:
        """Take the byte order."""
        self.order = state[1] if isinstance(state[1], str) else ""

    def __str__(self) -> str:
        return f"{self.order}{self.code}"


class Array:
    """An array of numpy's; numpy's pickles begin with an empty one, whose state brings all."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = "an array"

    def build(self, state: Any) -> None:
        """Take the numbers."""
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


def text_of(key: Any) -> str:
    """Return a dictionary's key as text; of what is no plain value, its type."""
    return str(key) if isinstance(key, str | bytes | int | float | None) else f"a {type(key).__name__}"


def _ordered(items: Any = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        key, value = item
        found[text_of(key)] = value
    return found


def _rebuild_tensor(storage: Any, skipped: Any, shape: Any, strides: Any, *_: Any) -> View:
    return View(storage, skipped, shape, strides)


def _rebuild_tensor_v3(
    storage: Any, skipped: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> View:
    return View(storage, skipped, shape, strides, dtype.removeprefix("torch."))


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


ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    ("torch", "Size"): _size,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "_reconstruct"): Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
HARMLESS = {("argparse", "Namespace"), ("numpy", "ndarray"), ("torch", "device"), ("torch", "Tensor")}
STORAGES = {
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
