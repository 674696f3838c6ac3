"""A tensor as a file holds it: shape and type are known at once, its numbers are mapped when they are wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmap import mmap

    from torch import Tensor

BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint64": 8,
    "uint32": 4,
    "uint16": 2,
    "uint8": 1,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}
"""Types by torch's names, and the bytes of one number."""
_LARGEST_SIDE = 1 << 40


@dataclass(frozen=True, eq=False)
class Stored:
    """One tensor of a file.

    Attributes:
        shape: Its shape.
        dtype: Its type by torch's name, such as "float32".
        strides: Numbers from one entry to the next, of each dimension.
        data: The whole file, mapped, or the bytes that a pickle brought.
        offset: Byte of `data` at which its first number stands.
    """

    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]
    data: mmap | bytes = field(repr=False)
    offset: int = 0

    @classmethod
    def within(
        cls,
        shape: Any,
        dtype: str,
        data: mmap | bytes,
        offset: int = 0,
        *,
        room: int,
        skipped: Any = 0,
        strides: Any = None,
    ) -> Stored:
        """Describe a tensor after checking that it lies where it says.

        Args:
            shape: What the file says its shape is.
            dtype: Its type.
            data: What holds its bytes.
            offset: Byte of `data` at which its storage begins.
            room: Numbers in its storage.
            skipped: Numbers before its first.
            strides: What the file says its strides are; by default rows are contiguous.

        Raises:
            ValueError: The shape is none, or reaches beyond the storage.
        """
        if dtype not in BYTES:
            raise ValueError(f"numbers of the unknown type {dtype}")
        strides = _contiguous(_sizes(shape)) if strides is None else strides
        shape, strides, (skipped,) = _sizes(shape), _sizes(strides), _sizes([skipped])
        if len(shape) != len(strides):
            raise ValueError("a tensor whose shape and strides do not fit each other")
        last = skipped + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        begin, end = offset + skipped * BYTES[dtype], offset + room * BYTES[dtype]
        if math.prod(shape) and (math.prod(shape) > room or last >= room or end > len(data)):
            raise ValueError(f"a tensor of shape {'x'.join(map(str, shape))} that reaches beyond its storage")
        return cls(shape, dtype, strides, data, begin if math.prod(shape) else 0)

    def numel(self) -> int:
        """Return how many numbers it has."""
        return math.prod(self.shape)

    def dim(self) -> int:
        """Return how many dimensions it has."""
        return len(self.shape)

    def is_floating_point(self) -> bool:
        """Tell whether its numbers are real ones."""
        return "float" in self.dtype

    def permute(self, *order: int) -> Stored:
        """Return it with its dimensions in another order."""
        return replace(self, shape=tuple(self.shape[k] for k in order), strides=tuple(self.strides[k] for k in order))

    def contiguous(self) -> Stored:
        """Return itself: only numbers in memory can be moved."""
        return self

    def squeeze(self) -> Stored:
        """Return it without its dimensions of size 1."""
        kept = [place for place, size in enumerate(self.shape) if size != 1]
        return replace(self, shape=tuple(self.shape[k] for k in kept), strides=tuple(self.strides[k] for k in kept))

    def tensor(self) -> Tensor:
        """Return it as a tensor of torch, mapped from the file; writing to it leaves the file as it is."""
        import torch

        kind = getattr(torch, self.dtype)
        if not self.numel():
            return torch.empty(self.shape, dtype=kind)
        count = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        data: Any = self.data
        begin = self.offset
        if isinstance(data, bytes) or begin % BYTES[self.dtype]:  # read-only, or at an odd place: copied
            data, begin = bytearray(memoryview(data)[begin : begin + count * BYTES[self.dtype]]), 0
        flat = torch.frombuffer(data, dtype=kind, count=count, offset=begin)
        return flat.as_strided(self.shape, self.strides)


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise ValueError("a tensor without a shape")
    if not all(type(value) is int and 0 <= value <= _LARGEST_SIDE for value in values):
        raise ValueError("a tensor of an absurd shape")
    return tuple(values)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))


def is_tensor(value: Any) -> bool:
    """Tell a tensor, of torch's or as a file holds it, from other data."""
    return isinstance(value, Stored) or (hasattr(value, "shape") and hasattr(value, "is_floating_point"))
