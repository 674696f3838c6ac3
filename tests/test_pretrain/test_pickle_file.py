"""Pickles: tensors and plain data are taken out of them, everything else stays inert."""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain import checkpoint, tensor_file
from pretrain.checkpoint import read_tensors
from pretrain.errors import DensebenchError


def refused(path: Path, because: str) -> None:
    with pytest.raises(DensebenchError, match=because) as caught:
        read_tensors(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


class RunsCode:
    """What it does when a careless reader opens it: create a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_a_pickle_that_would_run_code_does_not_run_it(tmp_path: Path, kind: str) -> None:
    path, trap = tmp_path / "trap.pth", tmp_path / "it-ran"
    tree = {"state_dict": {"conv1.weight": torch.ones(1)}, "args": RunsCode(trap)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(tree["args"], protocol=2))
        refused(path, r"holds no tensors, and reading it would run code \(posix\.mkdir\)")
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=kind == "zip")
        assert torch.equal(read_tensors(path)[0]["state_dict"]["conv1.weight"], torch.ones(1))
        assert tensor_file.read(path).inert == ("posix.mkdir",)
    assert not trap.exists()
    if kind != "pickle":
        torch.load(path, weights_only=False)
        assert trap.exists(), "the trap itself does not work"


def exclude_bias_and_norm(tensor: Any) -> bool:
    """As VICRegL's optimizer has it, from the writer's own script."""
    return bool(tensor.ndim == 1)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_full_training_checkpoint_yields_its_tensors(tmp_path: Path, zipped: bool) -> None:
    """Its optimizer pickles functions of the training script, and its options a class."""
    group = {"params": [0], "lr": 0.1, "weight_decay_filter": exclude_bias_and_norm, "lars": max}
    tree = {
        "model": {"module.backbone.conv1.weight": torch.ones(2, 3)},
        "optimizer": {"state": {0: {"mu": torch.zeros(2, 3)}}, "param_groups": [group]},
        "args": argparse.Namespace(lr=0.1, out=Path("a")),
    }
    path = tmp_path / "model.pth"
    torch.save(tree, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    found = tensor_file.read(path)
    assert torch.equal(found.tensors()["model"]["module.backbone.conv1.weight"], torch.ones(2, 3))
    assert found.tree["args"]["state"]["lr"] == 0.1
    assert {name.rpartition(".")[2] for name in found.inert} == {"exclude_bias_and_norm", "max", "PosixPath"}


# ---- pickles written by hand, each with a trap that a careless reader runs


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def traps(path: Path) -> dict[str, bytes]:
    """Ways to have `os.mkdir(path)` called, by name."""
    name = str(path)
    call = b"cposix\nmkdir\n" + text(name) + b"\x85R"
    command = text(f"mkdir {name}")
    evaluate = text(f"__import__('os').mkdir({name!r})")
    return {
        "reduce": call,
        "eval": b"cbuiltins\neval\n" + evaluate + b"\x85R",
        "exec of protocol 0": b"c__builtin__\nexec\n(" + evaluate + b"tR",
        "getattr": b"cbuiltins\ngetattr\ncposix\nsystem\n" + text("__call__") + b"\x86R" + command + b"\x85R",
        "nested": b"cbuiltins\nlist\ncbuiltins\nmap\ncposix\nmkdir\n(" + text(name) + b"t\x86R\x85R",
        "inst": b"(" + text(name) + b"iposix\nmkdir\n",
        "obj": b"(cposix\nmkdir\n" + text(name) + b"o",
        "newobj": b"cposix\nmkdir\n" + text(name) + b"\x85\x81",
        "newobj_ex": b"cposix\nmkdir\n" + text(name) + b"\x85}\x92",
        "stack global": text("posix") + text("mkdir") + b"\x93" + text(name) + b"\x85R",
        "dotted": text("os") + text("path.os.mkdir") + b"\x93" + text(name) + b"\x85R",
        "memo": b"cposix\nmkdir\nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f" + text(name) + b"\x85R",
        "build": b"cargparse\nNamespace\n)\x81}" + text("__setstate__") + b"cposix\nmkdir\nsb" + text(name) + b"b",
        "defaults": b"cnumpy.core.multiarray\n_reconstruct\nN}" + text("__code__") + call + b"s\x86b",
        "key": b"}" + call + b"K\x01s",
        "persistent id": call + b"Q",
        "extension": b"\x82\x01" + text(name) + b"\x85R",
        "torch's rebuild": b"ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nmkdir\nN" + text(name) + b"\x85}tR",
        "partial": b"cfunctools\npartial\ncposix\nmkdir\n" + text(name) + b"\x86R)R",
    }


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy", "npy"])
@pytest.mark.parametrize("trap", list(traps(Path())))
def test_no_hostile_pickle_runs(tmp_path: Path, trap: str, kind: str) -> None:
    made, path = tmp_path / "made", tmp_path / "file.bin"
    body = b"\x80\x04}" + text("weights") + traps(made)[trap] + b"s."
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", body)
    elif kind == "legacy":
        torch.save({}, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes().replace(b"\x80\x02}q\x00.", body))
    elif kind == "npy":
        np.save(tmp_path / "a.npy", np.array({}), allow_pickle=True)
        content = (tmp_path / "a.npy").read_bytes()
        path.write_bytes(content[:128] + body)
    else:
        path.write_bytes(body)
    with contextlib.suppress(DensebenchError):
        found = tensor_file.read(path)
        assert not found.tensors().get("tensor")
    assert not made.exists()


def test_the_traps_work_in_a_careless_reader(tmp_path: Path) -> None:
    """Most of them: a few need a registered extension or a file of torch's."""
    ran = []
    for number, trap in enumerate(traps(Path())):
        made = tmp_path / str(number)
        with contextlib.suppress(Exception):
            pickle.loads(b"\x80\x04}" + text("weights") + traps(made)[trap] + b"s.")
        ran += [trap] * made.exists()
    assert len(ran) >= 13 and {"reduce", "eval", "inst", "obj", "nested", "getattr"} <= set(ran)


def test_reading_leaves_our_own_functions_as_they_are(tmp_path: Path) -> None:
    """BUILD may set attributes of what stands on the stack; what is admitted stands there, too."""
    from pretrain import pickle_objects

    admitted = {key: dict(vars(value)) for key, value in pickle_objects.ADMITTED.items() if hasattr(value, "__dict__")}
    for module, name in pickle_objects.ADMITTED:
        state = b"}" + text("__defaults__") + b"K\x01\x85s"
        body = b"\x80\x04c" + f"{module}\n{name}\n".encode() + b"N" + state + b"\x86b."
        (tmp_path / "a.pkl").write_bytes(body)
        with contextlib.suppress(DensebenchError):
            read_tensors(tmp_path / "a.pkl")
    after = {key: dict(vars(value)) for key, value in pickle_objects.ADMITTED.items() if hasattr(value, "__dict__")}
    assert after == admitted
    assert pickle_objects._rebuild_tensor.__defaults__ is None


BOMBS: dict[str, Callable[[], bytes]] = {
    "a tuple deeper than the stack, as a key": lambda: b"}" + b")" + b"\x85" * 2_000_000 + b"K\x01s.",
    "the same in a set": lambda: b"\x8f(" + b")" + b"\x85" * 2_000_000 + b"\x90.",
    "the same in a frozen set": lambda: b"()" + b"\x85" * 2_000_000 + b"\x91.",
    "the same in an ordered dict": lambda: (
        b"ccollections\nOrderedDict\n](](" + b")" + b"\x85" * 2_000_000 + b"K\x01ee\x85R."
    ),
    "a list deeper than the stack": lambda: b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "a dictionary deeper than the stack": lambda: b"}" + (b"X\x01\x00\x00\x00a}" * 200_000) + b"s" * 200_000 + b".",
    "bytes that are not there": lambda: b"\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "a byte array that is not there": lambda: b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    "text that is not there": lambda: b"\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "a frame that is not there": lambda: b"\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "a long number": lambda: b"}\x8b" + struct.pack("<i", 1_000_000) + b"\x01" * 1_000_000 + b"K\x01s.",
    "no end": lambda: b"(" * 1_000_000,
}


@pytest.mark.parametrize("bomb", list(BOMBS))
def test_bombs_are_refused(tmp_path: Path, bomb: str) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x05" + BOMBS[bomb]())
    refused(tmp_path / "a.pkl", "file|checkpoint|holds a")


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
