"""Files of strangers: whatever they are, they are read as data or refused by a sentence; nothing in them runs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from pretrain import tensor_file
from pretrain.checkpoint import read_tensors
from pretrain.errors import DensebenchError

ROOT = Path(__file__).parents[2]

KINDS = ["safetensors", "zip", "legacy"]
TENSORS = {
    "weight": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
    "half": torch.arange(5).to(torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}


def written(folder: Path, kind: str, tensors: dict[str, Any] | None = None) -> Path:
    tensors = TENSORS if tensors is None else tensors
    path = folder / "weights.bin"
    if kind == "safetensors":
        save_file(tensors, path)
    elif kind == "npz":
        np.savez(path, **{name: one.numpy() for name, one in tensors.items() if one.dtype != torch.bfloat16})
        path.with_suffix(".bin.npz").rename(path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    return path


# ---- every container gives the tensors that were written


@pytest.mark.parametrize("kind", [*KINDS, "npz"])
def test_every_container_is_described_and_mapped(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    described = tensor_file.read(path)
    found = described.tensors()
    assert described.files == (path,) and described.container.startswith(KIND_WORDS[kind])
    assert found.keys() == described.tree.keys() == TENSORS.keys() - ({"half"} if kind == "npz" else set())
    for name, one in described.tree.items():
        assert (one.shape, f"torch.{one.dtype}") == (tuple(TENSORS[name].shape), str(TENSORS[name].dtype))
        assert one.numel() == TENSORS[name].numel() and one.dim() == TENSORS[name].dim()
        assert torch.equal(found[name], TENSORS[name]) and found[name].dtype == TENSORS[name].dtype


KIND_WORDS = {"safetensors": "safetensors", "zip": "torch (zip)", "legacy": "torch (legacy)", "npz": "numpy (npz)"}


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_views_parameters_and_shared_storages(tmp_path: Path, kind: str) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "transposed": whole.t(),
        "part": whole[1:3, 2:5],
        "parameter": torch.nn.Parameter(whole[0]),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "small": torch.tensor([1, 2], dtype=torch.uint16),
    }
    found, _ = read_tensors(written(tmp_path, kind, tensors))
    for name, one in tensors.items():
        assert torch.equal(found[name], one), name


def test_writing_to_a_mapped_tensor_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "zip")
    before = path.read_bytes()
    read_tensors(path)[0]["weight"].zero_()
    assert path.read_bytes() == before


def test_a_packed_npz_a_pickled_npy_and_fortrans_order(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    np.savez_compressed(tmp_path / "a.npz", a=array, b=array[0].astype(">f4"), c=np.array(["text"]))
    np.save(tmp_path / "b.npy", {"net/~/conv": {"w": array}}, allow_pickle=True)
    found, _ = read_tensors(tmp_path / "a.npz")
    assert torch.equal(found["a"], torch.from_numpy(array)) and found["c"] == "an array of <U4"
    assert torch.equal(found["b"], torch.from_numpy(array[0]).float())
    found, _ = read_tensors(tmp_path / "b.npy")
    assert torch.equal(found["net/~/conv"]["w"], torch.from_numpy(array))


def test_reading_headers_needs_no_torch(tmp_path: Path) -> None:
    for kind in (*KINDS, "npz"):
        path = written(tmp_path, kind)
        code = "import sys; from pathlib import Path; from pretrain import checkpoint, tensor_file\n"
        code += f"tensor_file.read(Path({str(path)!r})); assert not {{'torch', 'numpy'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ---- a folder of the Hugging Face hub


def snapshot(folder: Path) -> dict[str, Any]:
    (folder / "config.json").write_text('{"model_type": "resnet"}')
    save_file({"a": TENSORS["weight"]}, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file({"b": TENSORS["half"]}, folder / "model-00002-of-00002.safetensors", {"format": "pt"})
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    torch.save(TENSORS, tmp_path / "pytorch_model.bin")
    found = tensor_file.read(tmp_path)
    assert (found.container, found.metadata["config"]) == ("folder of torch (zip)", {"model_type": "vit"})
    save_file({"a": TENSORS["weight"]}, tmp_path / "model.safetensors")
    assert read_tensors(tmp_path)[0].keys() == {"a"}  # as transformers prefers it


def test_a_folder_with_several_files(tmp_path: Path) -> None:
    snapshot(tmp_path)
    found, metadata = read_tensors(tmp_path)
    assert torch.equal(found["a"], TENSORS["weight"]) and torch.equal(found["b"], TENSORS["half"])
    assert metadata == {"format": "pt", "config": {"model_type": "resnet"}}


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"b": "../model-00002-of-00002.safetensors"}, "outside of its folder"),
        ({"b": "model-00003-of-00003.safetensors"}, "lacks model-00003-of-00003"),
        ({"b": "model-00001-of-00002.safetensors"}, "contradict each other about the tensor 'b'"),
        ({"c": "model-00001-of-00002.safetensors"}, "contradict each other about the tensor 'c'"),
        ({"b": 3}, "is no index of weights"),
    ],
)
def test_an_index_that_is_wrong(tmp_path: Path, change: dict[str, Any], because: str) -> None:
    places = snapshot(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {**places, **change}}))
    refused(tmp_path, because)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_config_that_is_wrong(tmp_path: Path, text: str) -> None:
    snapshot(tmp_path)
    (tmp_path / "config.json").write_text(text)
    refused(tmp_path, "config.json")


# ---- what cannot be read is refused with a sentence that names it


def refused(path: Path, because: str) -> None:
    with pytest.raises(DensebenchError, match=because) as caught:
        read_tensors(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


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


def test_names_are_shown_without_what_no_screen_should_be_sent(tmp_path: Path) -> None:
    for kind in KINDS:
        found, _ = read_tensors(written(tmp_path, kind, {"a\x1b[2J\nb": torch.ones(1)}))
        assert list(found) == ["a\\x1b[2J\\nb"]


# ---- damage of any kind is refused or harmless


@given(st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", bytes([40, *bytes(7)]) + b"{"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_refused_by_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.pth"
    path.write_bytes(head + content)
    with pytest.raises(DensebenchError):
        read_tensors(path)
