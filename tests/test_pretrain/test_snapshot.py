"""Folders of the Hugging Face hub: one file or several, and what is wrong in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tensor_files import TENSORS, refused

from pretrain import tensor_file
from pretrain.checkpoint import read_tensors


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
