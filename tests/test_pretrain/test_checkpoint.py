"""Checkpoint files: read without running code, damaged ones refused, written whole or not at all."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import hashlib
import io
import os
import pickle
import resource
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from pretrain import checkpoint
from pretrain.checkpoint import Meta, digest, load, read_tensors, save
from pretrain.errors import DensebenchError

META = Meta(
    arch="resnet18",
    method="densecl",
    recipe="scenes",
    data="scenes",
    epochs=2.5,
    seed=3,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    versions={"torch": "2.13.0"},
)
SUFFIXES = [".safetensors", ".pth"]


def some_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=generator)
    return {
        "weight": weight,
        "transposed": weight.t(),
        "alias": weight,
        "half": weight.to(torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }


def saved(folder: Path, suffix: str = ".pth") -> Path:
    path = folder / f"checkpoint{suffix}"
    save(path, some_tensors(), META)
    return path


class RunsCode:
    """What it does when a careless reader opens it: create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


# ---- what is written is what is read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    found = load(saved(tmp_path, suffix))
    assert found.meta == dataclasses.replace(META, sha256=digest(some_tensors()))
    assert found.tensors.keys() == some_tensors().keys()
    for name, tensor in some_tensors().items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


def test_digest_depends_on_names_types_shapes_and_bytes_alone() -> None:
    tensor = torch.arange(6.0)
    reference = digest({"a": tensor, "b": tensor})
    assert digest({"b": tensor, "a": torch.arange(6.0).repeat_interleave(2)[::2]}) == reference
    changed = [
        {"a": tensor, "c": tensor},
        {"a": tensor, "b": tensor.reshape(2, 3)},
        {"a": tensor, "b": tensor.view(torch.int32)},
        {"a": tensor, "b": tensor.nextafter(torch.tensor(9.0))},
        {"a": tensor},
    ]
    assert len({reference, *map(digest, changed)}) == len(changed) + 1


@pytest.mark.parametrize("text", ["[]", "{", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "mean": 3}'])
def test_meta_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.safetensors"
    seal = hashlib.sha256(text.encode()).hexdigest()
    save_file({"weight": torch.zeros(2)}, path, {checkpoint.KEY: text, checkpoint.SEAL: seal})
    with pytest.raises(DensebenchError, match=r"odd\.safetensors has a densebench header that cannot be read"):
        load(path)


def test_header_without_its_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": [1], "meta": checkpoint.header(META)}, tmp_path / "odd.pth")
    with pytest.raises(DensebenchError, match="not the named tensors that belong to it"):
        load(tmp_path / "odd.pth")


def test_load_refuses_a_strangers_file_that_read_tensors_accepts(tmp_path: Path) -> None:
    path = tmp_path / "stranger.pth"
    torch.save({"model": {"conv1.weight": torch.ones(2)}, "args": argparse.Namespace(lr=0.1), "epoch": 3}, path)
    tree, metadata = read_tensors(path)
    assert torch.equal(tree["model"]["conv1.weight"], torch.ones(2))
    assert (tree["args"].lr, tree["epoch"], metadata) == (0.1, 3, {})
    with pytest.raises(DensebenchError, match=r"stranger\.pth is not a checkpoint that densebench wrote"):
        load(path)


# ---- nothing is lost when writing fails


def leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(DensebenchError, match="could not be written"):
        save(path, {"other": torch.ones(1_000_000)}, META)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, suffix)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    leaves_the_old_file(path)


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        leaves_the_old_file(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_other_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DensebenchError, match=r"must end in \.safetensors or \.pth, not in '\.ckpt'"):
        save(tmp_path / "x.ckpt", some_tensors(), META)


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
        (b"\x80\x02]q\x00.", "is truncated, damaged or not a checkpoint"),
        (b"PK\x03\x04" + bytes(200), "is truncated or damaged"),
        ((200).to_bytes(8, "little") + b"{" + bytes(20), "truncated or damaged safetensors"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes, because: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    refused(path, because)


def test_zip_of_arrays_and_file_of_a_list(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", weight=np.zeros(3))
    refused(tmp_path / "arrays.npz", "not a checkpoint of tensors")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "holds a list; named tensors were expected")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated(tmp_path: Path, kind: str, kept: float) -> None:
    path = saved(tmp_path, ".safetensors" if kind == "safetensors" else ".pth")
    if kind == "legacy":
        torch.save(some_tensors(), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated")


def test_flipped_bit_which_torch_itself_accepts(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(some_tensors()["weight"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path)["state_dict"]["weight"], some_tensors()["weight"])
    refused(path, "do not have their checksum")


def test_flipped_bit_in_our_safetensors(tmp_path: Path) -> None:
    path = saved(tmp_path, ".safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    refused(path, "do not have the sha256 that it states")


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, kind: str) -> None:
    path, trap = tmp_path / "trap.pth", tmp_path / "it-ran"
    tree = {"state_dict": {"conv1.weight": torch.zeros(1)}, "args": RunsCode(trap)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(tree["args"], protocol=2))
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=kind == "zip")
    refused(path, r"would run code \(posix\.mkdir\)")
    assert not trap.exists()
    if kind != "pickle":
        torch.load(path, weights_only=False)
        assert trap.exists(), "the trap itself does not work"


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


@given(st.sampled_from(SUFFIXES), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_flipped_bit_never_changes_anything_unseen(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, where: float, bit: int
) -> None:
    path = saved(tmp_path_factory.getbasetemp(), suffix)
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = load(path)
    except DensebenchError:
        return
    assert digest(found.tensors) == digest(some_tensors())
    assert found.meta == dataclasses.replace(META, sha256=digest(some_tensors()))


def test_meta_survives_mmengines_own_reader(tmp_path: Path) -> None:
    tree = torch.load(io.BytesIO(saved(tmp_path).read_bytes()))
    assert set(tree) == {"state_dict", "meta"}
    assert Meta.from_json(tree["meta"][checkpoint.KEY]).epochs == 2.5


class Pair(NamedTuple):
    """A class of the writer's own, as Haiku's trainers pickle them."""

    params: dict[str, Any]
    state: dict[str, Any]


def test_arrays_are_read_out_of_a_pickle_and_all_else_stays_inert(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    pair = Pair({"a/~/conv": {"w": array, "n": np.float64(2.5)}}, {"b": [np.ones(2, np.int64), "text", None]})
    tree = {"experiment": pair, "options": RunsCode(tmp_path / "made"), 3: np.array(["a"])}
    for protocol in (0, 2, 4, 5):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(tree, protocol=protocol))
        if protocol == 0:  # a text, which nothing here takes for a checkpoint
            refused(path, "not a checkpoint")
            continue
        found, _ = checkpoint.read_tensors(path)
        params, state = found["experiment"]["0"], found["experiment"]["1"]
        assert torch.equal(params["a/~/conv"]["w"], torch.tensor([[0.0, 3], [1, 4], [2, 5]]))
        assert float(params["a/~/conv"]["n"]) == 2.5
        assert torch.equal(state["b"]["0"], torch.ones(2, dtype=torch.int64)) and state["b"]["1"] == "text"
        assert found["3"] == "an array of <U1"
    assert not (tmp_path / "made").exists()


def test_a_pickle_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    laughs: Any = [np.ones(1)]
    for _ in range(30):
        laughs = [laughs] * 10
    ring: dict[str, Any] = {"x": np.ones(1)}
    ring["ring"] = ring
    far = b"\x80\x02}r\xff\xff\xff\x7fU\x01aK\x01s."  # a memo whose first place is number 2^31 - 1
    (tmp_path / "far.pkl").write_bytes(far)
    refused(tmp_path / "far.pkl", "not a checkpoint of arrays")
    for number, value in enumerate(({"a": laughs}, ring)):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps(value, protocol=4))
        refused(path, "truncated, damaged or not a checkpoint of arrays")


@given(st.integers(0, 2000), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_a_damaged_pickle_never_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    data = bytearray(pickle.dumps({"model": {"a": np.ones((3, 4)), "b": Pair({}, {})}}, protocol=2))
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("damaged") / "a.pkl"
    path.write_bytes(bytes(data))
    with contextlib.suppress(DensebenchError):
        checkpoint.read_tensors(path)
