"""Files that are none, or damaged: each is refused by a sentence that names it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensor_files import KINDS, TENSORS, refused, written

from pretrain.checkpoint import read_tensors
from pretrain.errors import DensebenchError


def test_missing_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "absent.pth", "There is no checkpoint file")
    refused(tmp_path, "is a folder")


@pytest.mark.parametrize(
    ("content", "because"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100), "not a checkpoint but a JPEG image"),
        (b"\n<!doctype html><html>404</html>", "not a checkpoint but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a checkpoint but a Git LFS pointer"),
        (b"hello", "is not a checkpoint"),
        (b"\x80\x02]q\x00.", "holds a list; named tensors were expected"),
        (b"\x80\x02}q\x00.", "truncated, damaged or not a checkpoint of arrays"),
        (b"PK\x03\x04" + bytes(200), "is truncated, damaged or not a zip file"),
        ((200).to_bytes(8, "little") + b"{" + bytes(20), "truncated, damaged or not a safetensors file"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes, because: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    refused(path, because)


@pytest.mark.parametrize("content", [b"abc", bytes([255] * 8) + b"{}", (2).to_bytes(8, "little") + b"[]"])
def test_safetensors_that_do_not_begin_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    refused(path, r"truncated, damaged or not a safetensors file \(it does not begin with a header\)\. Copy it anew")
    path = path.rename(tmp_path / "file.pth")
    refused(path, r"is not a checkpoint\. Copy it anew if it was one")


def test_file_of_a_list_and_of_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    refused(tmp_path / "array.npy", "holds one array; named tensors were expected")
    for legacy in (False, True):
        torch.save(torch.zeros(3), tmp_path / "tensor.pth", _use_new_zipfile_serialization=not legacy)
        refused(tmp_path / "tensor.pth", "holds one tensor; named tensors were expected")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "holds a list; named tensors were expected")


@pytest.mark.parametrize("kind", [*KINDS, "npz"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated(tmp_path: Path, kind: str, kept: float) -> None:
    path = written(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated")


def test_flipped_bit_which_torch_itself_accepts(tmp_path: Path) -> None:
    path = written(tmp_path, "zip")
    content = bytearray(path.read_bytes())
    content[content.index(TENSORS["weight"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path)["weight"], TENSORS["weight"])
    refused(path, "do not have their checksum")


@pytest.mark.parametrize("name", ["weights/data.pkl", "weights/data/0"])
@pytest.mark.parametrize("how", ["twice", "missing", "packed", "bomb", "encrypted"])
def test_zips_that_are_not_as_torch_writes_them(tmp_path: Path, name: str, how: str) -> None:
    path, odd = written(tmp_path, "zip"), tmp_path / "odd.pth"
    packed = zipfile.ZIP_DEFLATED if how in ("packed", "bomb") else zipfile.ZIP_STORED
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(odd, "w") as target:
        for entry in source.infolist():
            if entry.filename == name and how == "missing":
                continue
            content = bytes(200_000_000) if entry.filename == name and how == "bomb" else source.read(entry)
            kind = packed if entry.filename == name else zipfile.ZIP_STORED
            target.writestr(entry.filename, content, compress_type=kind)
            if entry.filename == name and how == "twice":
                target.writestr(entry.filename, content)
    if how == "encrypted":
        content = bytearray(odd.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1
        odd.write_bytes(content)
    if how == "packed" and name.endswith("pkl"):
        read_tensors(odd)  # small and harmless
        return
    because = {"twice": "twice", "missing": "missing|no entry", "packed": "packed", "bomb": "far beyond"}
    refused(odd, because.get(how, "encrypted"))


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"shape": (1 << 50,)}, "absurd shape"),
        ({"shape": (-1,)}, "absurd shape"),
        ({"shape": (1 << 35, 1 << 35), "strides": (0, 0)}, "beyond its storage"),
        ({"shape": (4, 4), "strides": (4, 2)}, "beyond its storage"),
        ({"skipped": 1}, "beyond its storage"),
        ({"shape": (2.0, 4)}, "absurd shape"),
        ({"shape": "24"}, "without a shape"),
        ({"shape": (2, 4), "strides": (4,)}, "do not fit"),
        ({"strides": (-4, 1)}, "absurd shape"),
    ],
)
def test_shapes_that_are_absurd(tmp_path: Path, kind: str, change: dict[str, Any], because: str) -> None:
    """The pickle says what torch itself never writes."""
    path = written(tmp_path, kind, {"weight": Claims(**change)})
    refused(path, because)


class Claims:
    """A tensor of 8 numbers that claims another place."""

    def __init__(self, shape: Any = (2, 4), skipped: int = 0, strides: Any = (4, 1)) -> None:
        self.claim = (torch.zeros(8).storage(), skipped, shape, strides, False, {})

    def __reduce__(self) -> tuple[object, ...]:
        return torch._utils._rebuild_tensor_v2, self.claim


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"shape": [1 << 40, 1 << 40]}, "beyond its storage|not the size"),
        ({"shape": [6, -4]}, "absurd shape"),
        ({"shape": [6, True]}, "absurd shape"),
        ({"data_offsets": [0, 1 << 60]}, "not the size"),
        ({"data_offsets": [0.0, 96.0]}, "lies nowhere"),
        ({"data_offsets": [4, 100]}, "beyond its storage|gaps|elsewhere"),
        ({"dtype": "F4"}, "unknown type"),
    ],
)
def test_headers_of_safetensors_that_are_wrong(tmp_path: Path, change: dict[str, Any], because: str) -> None:
    path = written(tmp_path, "safetensors", {"weight": TENSORS["weight"]})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["weight"] |= change
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    refused(path, because)
    text = b'{"a":' * 90_000
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    refused(path, "truncated, damaged")


@given(st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", bytes([40, *bytes(7)]) + b"{"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_refused_by_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.pth"
    path.write_bytes(head + content)
    with pytest.raises(DensebenchError):
        read_tensors(path)
