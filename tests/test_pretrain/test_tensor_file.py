"""Files of strangers: whatever they are, they are read as data or refused by a sentence; nothing in them runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensor_files import KINDS, TENSORS, written

from pretrain import tensor_file
from pretrain.checkpoint import read_tensors

ROOT = Path(__file__).parents[2]


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


def test_names_are_shown_without_what_no_screen_should_be_sent(tmp_path: Path) -> None:
    for kind in KINDS:
        found, _ = read_tensors(written(tmp_path, kind, {"a\x1b[2J\nb": torch.ones(1)}))
        assert list(found) == ["a\\x1b[2J\\nb"]
