"""Inspecting a file says what is in it, also where it is nothing that can be converted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmark.inspection import inspect
from pretrain import checkpoint
from pretrain.errors import DensebenchError

Make = Callable[[str], dict[str, Tensor]]


def test_torchvision_file(tmp_path: Path, trained_looking: Make) -> None:
    state = trained_looking("resnet18")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "weights.pth")
    found = inspect(tmp_path / "weights.pth")
    assert (found.format, found.arch, found.problem) == ("torchvision", "resnet18", "")
    assert (found.tensors, found.trunk) == (122, 120)
    assert found.parameters == sum(tensor.numel() for tensor in state.values())
    assert found.dropped == ["fc.weight", "fc.bias", "epoch"]
    assert found.dtypes == {"float32": 102, "int64": 20}
    assert found.channel_order == "RGB"
    assert "fc.weight, fc.bias, epoch" in found.report()
    assert json.loads(json.dumps(found.to_dict()))["arch"] == "resnet18"


def test_our_own_file_shows_its_meta(tmp_path: Path, trained_looking: Make) -> None:
    trunk = {name: tensor for name, tensor in trained_looking("resnet18").items() if not name.startswith("fc.")}
    meta = checkpoint.Meta("resnet18", "densecl", "scenes", "x", 3.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    checkpoint.save(tmp_path / "ours.safetensors", trunk, meta)
    found = inspect(tmp_path / "ours.safetensors")
    assert (found.format, found.mean, found.meta["method"]) == ("densebench", (1.0, 2.0, 3.0), "densecl")
    assert "densecl" in found.report()


def test_unknown_names_are_shown_with_the_reason(tmp_path: Path, trained_looking: Make) -> None:
    whole = trained_looking("resnet18")
    state = {f"encoder.{name}": tensor for name, tensor in whole.items() if "layer1.1." not in name}
    torch.save({"state_dict": state, "queue": torch.zeros(4, 2)}, tmp_path / "weights.pth")
    found = inspect(tmp_path / "weights.pth")
    assert (found.format, found.arch, found.trunk) == (None, None, 0)
    assert found.prefixes == {"state_dict.encoder.": 110, "queue": 1}
    assert "behind the prefix 'state_dict.encoder.'" in found.problem
    assert found.problem in found.report()


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"\xff\xd8\xff" + bytes(9))
    with pytest.raises(DensebenchError, match="JPEG"):
        inspect(tmp_path / "weights.pth")
