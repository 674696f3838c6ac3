"""safetensors' files: a header in JSON that says where every tensor lies, and nothing else."""

from __future__ import annotations

import json
import math
from mmap import mmap
from typing import Any

from pretrain.plain import printable
from pretrain.stored import BYTES, Stored

LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def read_safetensors(data: mmap) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the header: the tensors, and the metadata, which are texts.

    Raises:
        Exception: It is damaged; of any kind. As the format demands, the tensors fill the file without gaps.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if start > min(len(data), LARGEST_HEADER):
        raise ValueError("its header reaches beyond its end")
    header = json.loads(data[8:start], object_pairs_hook=_once)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are no texts")
    tree, spans = {}, []
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if type(begin) is not int or type(end) is not int or begin < 0:
            raise ValueError(f"its tensor {printable(name)} lies nowhere")
        dtype = _TYPES.get(entry["dtype"], str(entry["dtype"]))
        tensor = Stored.within(entry["shape"], dtype, data, start + begin, room=math.prod(entry["shape"]))
        if end - begin != tensor.numel() * BYTES[dtype]:
            raise ValueError(f"its tensor {printable(name)} has not the size of its shape")
        tree[printable(name)] = tensor
        spans.append((begin, end))
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise ValueError("its tensors overlap or leave gaps")
        reached = end
    if start + reached != len(data):
        raise ValueError("its tensors end elsewhere than the file")
    return tree, metadata


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has a name twice")
    return found
