"""Files of Hugging Face's transformers: names, configurations and numbers are held against its own networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers_hub import MODELS

from benchmark import backbones, certify, convert, hugging_face, intake
from benchmark.hugging_face import convnext as hf_convnext
from benchmark.hugging_face import resnet as hf_resnet
from benchmark.hugging_face import vit as hf_vit
from benchmark.inspection import inspect
from benchmark.intake import transformers as reader
from benchmark.normalisation import ASSUMED

transformers: Any = pytest.importorskip("transformers")


@pytest.mark.parametrize("name", MODELS)
def test_what_transformers_writes_is_certified_against_transformers(folders: Callable[[str], Path], name: str) -> None:
    *_, arch, traits = MODELS[name]
    path = folders(name)
    found = convert.require(convert.convert(path, to="mmseg"))
    certificate = found.certificate
    assert (certificate.format, found.arch, found.traits) == ("transformers", arch, traits)
    assert certificate.notes == [ASSUMED]
    assert not certificate.untrained and len(certificate.parity) == 8
    told = inspect(path)
    assert (told.format, told.arch, told.trunk, told.problem) == ("transformers", arch, len(found.state), "")
    assert certificate.dropped == list(told.dropped)


@pytest.mark.parametrize("name", ["resnet", "ViT with a pooler", "MAE", "DINOv2", "ConvNeXt with a classifier"])
@torch.no_grad()
def test_the_maps_are_those_of_transformers_own_forward(
    made: Callable[[str], Any], folders: Callable[[str], Path], name: str
) -> None:
    """Not of its modules, one by one; at the native size and at another."""
    found = convert.require(convert.convert(folders(name), to="mmseg"))
    network = made(name if name != "MAE" else "MAE's encoder")
    if name == "MAE":  # the same encoder, in a network that drops no patches
        network = transformers.ViTModel.from_pretrained(folders(name), add_pooling_layer=False)
    base = getattr(network, network.base_model_prefix, network)
    family = backbones.family(found.arch)
    for size in ((112, 112), (140, 168)) if name == "DINOv2" else ((96, 96), (64, 128)):
        images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 4 - 2
        options = {"interpolate_pos_encoding": True} if "ViT" in type(base).__name__ else {}
        expected = base(images, **options).last_hidden_state
        at = convert.at_size(found, size)
        target = certify._build("mmseg", found.arch, family.config(found.arch, size=size, **found.traits))
        target.load_state_dict(at.state, strict=True, assign=True)
        target.eval()  # mm*'s returns nothing
        last = target(images)[-1]
        if expected.dim() == 3:
            last = last.flatten(2).transpose(1, 2)
            expected = expected[:, 1:]
        elif "convnext" in found.arch:  # transformers norms the mean, not the map
            expected = base.layernorm(expected.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["resnet with a classifier", "ViT with a pooler", "DINOv2 with registers", "ConvNeXt"])
def test_every_way_of_saving_gives_the_same_trunk(
    made: Callable[[str], Any], tmp_path: Path, folders: Callable[[str], Path], name: str
) -> None:
    expected = convert.convert(folders(name), to="mmseg").certificate.digest
    network = made(name)
    network.save_pretrained(tmp_path / "shards", max_shard_size="5MB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    torch.save(network.state_dict(), tmp_path / "in_memory.pth")  # transformers 5 has other names in memory
    (tmp_path / "alone").mkdir()
    whole = (folders(name) / "model.safetensors").read_bytes()
    (tmp_path / "alone" / "model.safetensors").write_bytes(whole)
    for path in ("shards", "in_memory.pth", "alone/model.safetensors"):
        certificate = convert.require(convert.convert(tmp_path / path, to="mmseg")).certificate
        assert certificate.digest == expected
        silent = path == "shards" or "resnet" in name
        assert any("No configuration says layer_norm_eps" in note for note in certificate.notes) != silent


# ---- the proof: a wrong table is found out


def retabled(monkeypatch: pytest.MonkeyPatch, family: Any, rename: Callable[[str], str], **changes: Any) -> None:
    monkeypatch.setattr(family, "NAMING", dataclasses.replace(family.NAMING, rename=rename, **changes))


def swapping(family: Any, one: str, other: str) -> Callable[[str], str]:
    table = {one: other, other: one}
    return lambda name: family.rename(table.get(name, name))


SWAPS = [
    ("resnet", hf_resnet, "encoder.stages.1.layers.1.layer.", "0.normalization.bias", "1.normalization.bias"),
    (
        "resnet with a classifier",
        hf_resnet,
        "encoder.stages.0.layers.",
        "0.layer.0.convolution.weight",
        "1.layer.1.convolution.weight",
    ),
    ("ViT with a classifier", hf_vit, "encoder.layer.3.", "layernorm_before.weight", "layernorm_after.weight"),
    ("ViT with a pooler", hf_vit, "encoder.layer.3.attention.attention.", "query.weight", "value.weight"),
    ("MAE", hf_vit, "encoder.layer.3.", "attention.output.dense.bias", "output.dense.bias"),
    ("DINOv2", hf_vit, "encoder.layer.3.", "layer_scale1.lambda1", "layer_scale2.lambda1"),
    ("DINOv2 with registers", hf_vit, "encoder.layer.3.attention.attention.", "key.bias", "query.bias"),
    ("ConvNeXt", hf_convnext, "encoder.stages.1.layers.0.", "layernorm.bias", "pwconv2.bias"),
    ("ConvNeXt with a classifier", hf_convnext, "encoder.stages.2.layers.", "0.dwconv.weight", "5.dwconv.weight"),
]


@pytest.mark.parametrize(("name", "family", "place", "one", "other"), SWAPS, ids=[name for name, *_ in SWAPS])
def test_a_table_that_swaps_two_tensors_of_one_shape(
    folders: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    family: Any,
    place: str,
    one: str,
    other: str,
) -> None:
    path = folders(name)
    retabled(monkeypatch, family, swapping(family, place + one, place + other))
    certificate = convert.convert(path, to="mmseg").certificate
    assert not certificate.ok and not certificate.missing and not certificate.leftover
    assert "converted one differ: " in certificate.reasons[0] and "with random norm layers" in certificate.reasons[1]


def test_queries_keys_and_values_in_another_order(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folders("DINOv2")
    monkeypatch.setattr(hf_vit, "PARTS", ("value", "query", "key"))
    certificate = convert.convert(path, to="mmseg").certificate
    assert "converted one differ: 1/4" in certificate.reasons[0]


def test_a_swap_inside_silent_branches(
    made: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer scales are 0, so that the file's own maps cannot show it; the probing numbers go through the table."""
    network = made("DINOv2")
    for name, tensor in network.state_dict().items():
        if name.endswith("lambda1"):
            tensor.zero_()
    network.save_pretrained(tmp_path)
    convert.require(convert.convert(tmp_path, to="mmseg"))
    swap = ("encoder.layer.2.mlp.fc1.weight", "encoder.layer.4.mlp.fc1.weight")
    retabled(monkeypatch, hf_vit, swapping(hf_vit, *swap))
    (reason,) = convert.convert(tmp_path, to="mmseg").certificate.reasons
    assert "differ with random norm layers" in reason


@pytest.mark.parametrize("lost", ["encoder.layer.5.attention.attention.key.weight", "layernorm.bias"])
def test_a_lost_tensor(tmp_path: Path, folders: Callable[[str], Path], lost: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folders("MAE's encoder") / "model.safetensors")
    del tensors[lost]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    certificate = convert.convert(tmp_path / "model.safetensors", to="mmseg").certificate
    assert certificate.missing == ["layers.5.attn.qkv.weight" if "key" in lost else "ln1.bias"]
    assert len(certificate.leftover) == (2 if "key" in lost else 0)


def test_where_transformers_is_not_installed_it_is_said(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folders("ViT with a pooler")
    monkeypatch.setattr(reader, "_installed", lambda: False)
    certificate = convert.require(convert.convert(path, to="mmseg")).certificate
    assert "does not prove transformers' names" in certificate.notes[0]


def test_every_family_says_what_the_others_say() -> None:
    said = {"NAMING", "MODELS", "EPS", "EPS_TRAIT", "TRAITS", "kind", "settings", "published", "stage_maps"}
    for family in hugging_face.families():
        assert said <= vars(family).keys()
    assert intake.load("transformers").matches({"conv1.weight": torch.ones(1)}, {}) is False
