"""Files of code bases that nobody described: the field's words choose, and nothing unknown is let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark import convert, intake
from pretrain.errors import UsageError

Tensors = dict[str, Tensor]
Networks = Any  # of conftest.py


def behind(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ("model.online.net.", "model.target.net.", 0),
        ("net.key_encoder.", "net.query_encoder.", 1),
        ("student.trunk.", "teacher.trunk.", 1),
        ("backbone.", "backbone_ema.", 0),
        ("f_k.", "f_q.", 1),
        ("left.", "right.", None),
        ("query_a.", "query_b.", None),
    ],
)
def test_the_fields_words_choose_in_files_never_seen(networks: Networks, first: str, second: str, taken: Any) -> None:
    path = Path("a.pth")
    state = behind(first, networks(0)) | behind(second, networks(1)) | {"temperature": torch.ones(1)}
    tree = {"epoch": 3, "weights": {"all": state}}
    module = intake.detect(path, tree, {})
    assert module is intake.load("general")
    if taken is None:
        with pytest.raises(UsageError, match=f"weights.all.{first[:-1]}, weights.all.{second[:-1]}"):
            module.read(path, tree, {})
        taken = 1
        source = module.read(path, tree, {}, f"weights.all.{second[:-1]}")
    else:
        source = module.read(path, tree, {})
    assert torch.equal(source.tensors["conv1.weight"], networks(taken)["conv1.weight"])
    assert "temperature" in source.dropped and "epoch" in source.dropped
    source.network()  # strictly loaded


def test_what_stands_in_a_tensors_place_is_missed_in_a_sentence(tmp_path: Path, networks: Networks) -> None:
    name = "layer3.1.conv2.weight"
    torch.save({"weights": behind("f.", {**networks(0), name: {"no": "tensor"}})}, tmp_path / "file.pth")
    certificate = convert.convert(tmp_path / "file.pth").certificate
    assert not certificate.ok
    assert certificate.missing == [name]


def test_an_unknown_tensor_inside_the_trunk_is_not_let_through(tmp_path: Path, networks: Networks) -> None:
    tree = {"weights": behind("f.", networks(0)) | {"f.layer2.1.gate.weight": torch.ones(3)}}
    torch.save(tree, tmp_path / "file.pth")
    certificate = convert.convert(tmp_path / "file.pth").certificate
    assert not certificate.ok
    assert certificate.leftover == ["layer2.1.gate.weight"]
