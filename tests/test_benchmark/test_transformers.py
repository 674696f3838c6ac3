"""Files of Hugging Face's transformers: names, configurations and numbers are held against its own networks."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import backbones, certify, convert, hugging_face, intake
from benchmark.hugging_face import convnext as hf_convnext
from benchmark.hugging_face import resnet as hf_resnet
from benchmark.hugging_face import vit as hf_vit
from benchmark.inspection import inspect
from benchmark.intake import transformers as reader
from benchmark.quiet import quiet
from pretrain.errors import DensebenchError

transformers: Any = pytest.importorskip("transformers")

TINY = {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 12}
VIT = {**TINY, "intermediate_size": 768, "image_size": 96}
DINOV2 = {**TINY, "image_size": 112, "patch_size": 14}
BASIC = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
MODELS: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {  # class, configuration, what is found
    "resnet": ("ResNetModel", "ResNetConfig", {}, "resnet50", {}),
    "resnet with a classifier": ("ResNetForImageClassification", "ResNetConfig", BASIC, "resnet18", {}),
    "ViT with a pooler": ("ViTModel", "ViTConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "ViT with a classifier": (
        "ViTForImageClassification",
        "ViTConfig",
        {**VIT, "layer_norm_eps": 1e-6},
        "vit_tiny_patch16",
        {},
    ),
    "SimMIM": ("ViTForMaskedImageModeling", "ViTConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "MAE's encoder": ("ViTMAEModel", "ViTMAEConfig", VIT, "vit_tiny_patch16", {"eps": 1e-12}),
    "MAE": (
        "ViTMAEForPreTraining",
        "ViTMAEConfig",
        {**VIT, "decoder_num_hidden_layers": 1},
        "vit_tiny_patch16",
        {"eps": 1e-12},
    ),
    "DINOv2": ("Dinov2Model", "Dinov2Config", DINOV2, "vit_tiny_patch14", {"layer_scale": True}),
    "DINOv2 with a classifier": (
        "Dinov2ForImageClassification",
        "Dinov2Config",
        DINOV2,
        "vit_tiny_patch14",
        {"layer_scale": True},
    ),
    "DINOv2 with registers": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        DINOV2,
        "vit_tiny_patch14",
        {"layer_scale": True, "registers": 4},
    ),
    "ConvNeXt": ("ConvNextModel", "ConvNextConfig", {}, "convnext_tiny", {"final_eps": 1e-12}),
    "ConvNeXt with a classifier": (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {},
        "convnext_tiny",
        {"final_eps": 1e-12},
    ),
}


@pytest.fixture(scope="module")
def made(randomised: Callable[[Any], Any]) -> Callable[[str], Any]:
    """Build one of transformers' networks with every parameter and running statistic drawn anew."""

    def make(name: str) -> Any:
        kind, config, values, _, _ = MODELS[name]
        network = getattr(transformers, kind)(getattr(transformers, config)(**values)).eval()
        randomised(network)  # in place
        return network

    return make


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, made: Callable[[str], Any]) -> Callable[[str], Path]:
    """Write a network as transformers does, once."""
    whole = tmp_path_factory.mktemp("hub")

    def folder(name: str) -> Path:
        path = whole / name.replace(" ", "_")
        if not path.exists():
            made(name).save_pretrained(path)
        return path

    return folder


@pytest.mark.parametrize("name", MODELS)
def test_what_transformers_writes_is_certified_against_transformers(folders: Callable[[str], Path], name: str) -> None:
    *_, arch, traits = MODELS[name]
    path = folders(name)
    found = convert.require(convert.convert(path, to="mmseg"))
    certificate = found.certificate
    assert (certificate.format, found.arch, found.traits, certificate.notes) == ("transformers", arch, traits, [])
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


# ---- configurations


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


# ---- what transformers must not cost


def test_the_command_line_does_not_import_transformers(folders: Callable[[str], Path]) -> None:
    code = "import sys\nfrom benchmark.shell import perform\nfrom benchmark.cli import app\n"
    code += f"assert perform(app, ['inspect', {str(folders('DINOv2'))!r}]) == 0\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True)


def test_mmpretrain_is_imported_without_its_half_for_transformers_4() -> None:
    with quiet():
        from mmpretrain.models import utils
    assert not utils.WITH_MULTIMODAL


def test_every_family_says_what_the_others_say() -> None:
    said = {"NAMING", "MODELS", "EPS", "EPS_TRAIT", "TRAITS", "kind", "settings", "published", "stage_maps"}
    for family in hugging_face.families():
        assert said <= vars(family).keys()
    assert intake.load("transformers").matches({"conv1.weight": torch.ones(1)}, {}) is False
