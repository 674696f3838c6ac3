"""Configurations beside transformers' files: another network's is refused, what counts is heard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import backbones, convert
from benchmark.inspection import inspect
from pretrain.errors import DensebenchError


def with_config(folder: Path, source: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("resnet", {"downsample_in_bottleneck": True}),
        ("resnet", {"downsample_in_first_stage": True}),
        ("resnet", {"hidden_act": "gelu"}),
        ("ViT with a pooler", {"hidden_act": "gelu_new"}),
        ("ViT with a pooler", {"num_attention_heads": 12}),
        ("ViT with a pooler", {"qkv_bias": False}),
        ("ViT with a pooler", {"model_type": "beit"}),
        ("ViT with a pooler", {"model_type": ["vit"]}),
        ("ViT with a pooler", {"image_size": 224}),
        ("ViT with a pooler", {"layer_norm_eps": "tiny"}),
        ("DINOv2", {"use_swiglu_ffn": True}),
        ("ConvNeXt", {"hidden_act": "relu"}),
        ("ConvNeXt", {"model_type": "convnextv2"}),
    ],
)
def test_a_configuration_of_another_network_is_refused(
    tmp_path: Path, folders: Callable[[str], Path], name: str, change: dict[str, Any]
) -> None:
    path = with_config(tmp_path / "hub", folders(name), **change)
    with pytest.raises(DensebenchError, match="its configuration says") as error:
        convert.convert(path)
    assert str(next(iter(change.values()))) in error.value.message
    assert error.value.message in inspect(path).problem


def test_the_norms_eps_is_heard(tmp_path: Path, folders: Callable[[str], Path]) -> None:
    for name, trait in (("ViT with a pooler", "eps"), ("ConvNeXt", "final_eps")):
        path = with_config(tmp_path / name, folders(name), layer_norm_eps=0.01)
        found = convert.require(convert.convert(path, to="mmseg"))
        assert found.traits == {trait: 0.01}
        assert f"{trait:10} 0.01" in found.certificate.report()


@pytest.mark.parametrize(("name", "arch"), [("ViT with a pooler", "vit_tiny_patch16"), ("ConvNeXt", "convnext_tiny")])
def test_a_backbone_that_is_deaf_to_the_eps(
    tmp_path: Path, folders: Callable[[str], Path], change_family: Callable[..., None], name: str, arch: str
) -> None:
    family = backbones.family(arch)
    path, plain = with_config(tmp_path / "hub", folders(name), layer_norm_eps=0.01), family.config
    without = lambda arch, *, eps=0, final_eps=0, **options: plain(arch, **options)  # noqa: E731
    change_family(family.name, config=without)
    assert "converted one differ" in convert.convert(path, to="mmseg").certificate.reasons[0]


def test_a_folder_of_the_hub_tells_its_normalisation(tmp_path: Path, folders: Callable[[str], Path]) -> None:
    path = with_config(tmp_path / "hub", folders("resnet with a classifier"))
    inputs = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.5, 0.25, 0.2]}
    (path / "preprocessor_config.json").write_text(json.dumps(inputs))
    for name in (path, path / "model.safetensors"):
        found = convert.require(convert.convert(name))
        assert (found.mean, found.std) == ((123.675, 116.28, 103.53), (127.5, 63.75, 51.0))
    (path / "preprocessor_config.json").write_text("[]")
    assert convert.convert(path).std == (58.395, 57.12, 57.375)
