"""Checkpoint files: read without running code, damaged ones refused, written whole or not at all."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import hashlib
import io
import os
import resource
from pathlib import Path

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
    assert (tree["args"]["state"]["lr"], tree["epoch"], metadata) == (0.1, 3, {})
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, suffix)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        leaves_the_old_file(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_other_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DensebenchError, match=r"must end in \.safetensors or \.pth, not in '\.ckpt'"):
        save(tmp_path / "x.ckpt", some_tensors(), META)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_others_may_read_what_the_umask_lets_them_read(tmp_path: Path, suffix: str) -> None:
    checkpoint.write_tensors(tmp_path / f"file{suffix}", {"weight": torch.ones(2)}, {})
    (tmp_path / "plain").touch()
    assert (tmp_path / f"file{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_flipped_bit_in_our_safetensors(tmp_path: Path) -> None:
    path = saved(tmp_path, ".safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DensebenchError, match="do not have the sha256 that it states"):
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
