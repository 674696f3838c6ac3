"""Inspecting a file says what is in it, also where it is nothing that can be converted."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmark import intake, networks, unserved
from benchmark.inspection import inspect
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError

Make = Callable[[str], dict[str, Tensor]]


def test_torchvision_file(tmp_path: Path, trained_looking: Make) -> None:
    state = trained_looking("resnet18")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "weights.pth")
    found = inspect(tmp_path / "weights.pth")
    assert (found.format, found.arch, found.problem) == ("torchvision", "resnet18", "")
    assert (found.tensors, found.trunk) == (122, 120)
    assert found.parameters == sum(tensor.numel() for tensor in state.values())
    dropped = {"fc.weight": "the classifier", "fc.bias": "the classifier", "epoch": "no weight of the network"}
    assert (found.container, found.dropped) == ("torch (zip)", dropped)
    assert found.dtypes == {"float32": 102, "int64": 20}
    assert found.channel_order == "RGB"
    assert "fc.weight, fc.bias: the classifier" in found.report()
    assert found.sha256 == {}
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert inspect(tmp_path / "weights.pth", sha256=True).sha256 == {"weights.pth": digest}
    assert json.loads(json.dumps(found.to_dict()))["arch"] == "resnet18"


def test_our_own_file_shows_its_meta(tmp_path: Path, trained_looking: Make) -> None:
    trunk = {name: tensor for name, tensor in trained_looking("resnet18").items() if not name.startswith("fc.")}
    meta = checkpoint.Meta("resnet18", "densecl", "scenes", "x", 3.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    checkpoint.save(tmp_path / "ours.safetensors", trunk, meta)
    found = inspect(tmp_path / "ours.safetensors")
    assert (found.format, found.mean, found.meta["method"]) == ("densebench", (1.0, 2.0, 3.0), "densecl")
    assert "densecl" in found.report()
    escape = dataclasses.replace(meta, data="x\x1b]0;title\x07\x1b[31m")
    checkpoint.save(tmp_path / "ours.safetensors", trunk, escape)
    assert inspect(tmp_path / "ours.safetensors").report().replace("\n", "").isprintable()


def test_unknown_names_are_shown_with_the_reason(tmp_path: Path, trained_looking: Make) -> None:
    whole = trained_looking("resnet18")
    state = {f"encoder.{name}": tensor for name, tensor in whole.items() if "layer1.1." not in name}
    torch.save({"state_dict": state, "queue": torch.zeros(4, 2)}, tmp_path / "weights.pth")
    found = inspect(tmp_path / "weights.pth")
    assert (found.format, found.arch, found.trunk) == (None, None, 0)
    assert found.prefixes == {"state_dict.encoder.": 110, "queue": 1}
    assert "behind the prefix 'state_dict.encoder.'" in found.problem
    assert found.problem in found.report()


SWIN = "a Swin Transformer"
REGNET = "a RegNet (RegNetX, another size of RegNetY, or one that is not whole)"
SWIGLU = "a vision transformer with gated perceptrons (SwiGLU)"


@pytest.mark.parametrize(
    ("library", "name", "what"),
    [
        ("timm", "swin_tiny_patch4_window7_224", SWIN),
        ("timm", "swinv2_cr_tiny_224", None),
        ("torchvision", "swin_t", SWIN),
        ("timm", "beit_base_patch16_224", "a BEiT"),
        ("timm", "convnextv2_tiny", "a ConvNeXt V2"),
        ("timm", "regnetx_004", REGNET),
        ("torchvision", "regnet_x_400mf", REGNET),
        ("timm", "densenet121", None),
    ],
)
def test_what_is_not_served_is_named(library: str, name: str, what: str | None) -> None:
    models = importlib.import_module("timm" if library == "timm" else "torchvision.models")
    make = models.create_model if library == "timm" else models.get_model
    tree = networks.bare(lambda: make(name)).state_dict()
    with pytest.raises(DensebenchError) as error:
        intake.read(Path("a.pth"), tree, {})
    assert ("is not served" in error.value.message) == (what is not None)
    assert (what or "a.pth") in error.value.message


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("layers.0.blocks.0.attn.relative_position_bias_table", SWIN),
        ("model.layers.2.blocks.5.attn.relative_position_bias_table", SWIN),
        ("backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table", SWIN),  # mmdet's
        ("swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table", SWIN),  # transformers'
        (
            "beit.encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table",
            "a BEiT",
        ),
        ("blocks.0.mlp.w12.weight", SWIGLU),
        ("encoder.layer.0.mlp.weights_in.weight", SWIGLU),  # transformers' DINOv2 giant
        ("trunk._feature_blocks.res2.block1-0.proj.weight", REGNET),  # VISSL's
        ("layer1.0.conv1.weight", None),
        ("blocks.0.attn.qkv.weight", None),
        ("layers.0.blocks.0.attn.relative_position_index", None),
    ],
)
def test_signs_of_what_is_not_served(name: str, what: str | None) -> None:
    assert unserved.seen([name]) == what


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"\xff\xd8\xff" + bytes(9))
    with pytest.raises(DensebenchError, match="JPEG"):
        inspect(tmp_path / "weights.pth")


def test_a_file_without_tensors_is_an_error(tmp_path: Path) -> None:
    for tree in ({}, {"epoch": 3, "args": {"lr": 0.1}}):
        torch.save(tree, tmp_path / "weights.pth")
        with pytest.raises(DensebenchError, match="holds no tensors"):
            inspect(tmp_path / "weights.pth")


@pytest.mark.parametrize("prefix", ["", "module.encoder_q.", "net."])
def test_a_misspelt_trunk_is_wrong_usage(tmp_path: Path, trained_looking: Make, prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in trained_looking("resnet18").items()}
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    with pytest.raises(UsageError, match="teechar"):
        inspect(tmp_path / "weights.pth", "teechar")


def test_evidence_of_a_format_is_not_made_up(tmp_path: Path, trained_looking: Make) -> None:
    torch.save(trained_looking("resnet18"), tmp_path / "weights.pth")
    assert "(as you asked)" in inspect(tmp_path / "weights.pth", format="timm").report()
    assert "as you asked" not in inspect(tmp_path / "weights.pth").report()


def test_a_trunk_that_may_not_be_whole_is_not_called_sound(tmp_path: Path, trained_looking: Make) -> None:
    state = trained_looking("resnet18")
    del state["layer3.0.conv1.weight"]
    torch.save(state, tmp_path / "weights.pth")
    report = inspect(tmp_path / "weights.pth").report()
    assert "119 tensors; whether they are whole and fit, `convert` proves" in report
    assert "belong" not in report


def test_a_folder_of_ours_points_to_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(DensebenchError, match=r"Name the file itself: .*checkpoint\.safetensors\."):
        inspect(tmp_path)


def test_the_networks_of_a_file_are_listed_and_the_choice_is_explained(tmp_path: Path, trained_looking: Make) -> None:
    state = {
        f"module.encoder_{which}.{name}": one for which in "qk" for name, one in trained_looking("resnet18").items()
    }
    tree = {"state_dict": state | {"module.queue": torch.zeros(4, 2)}, "optimizer": {"lr": 0.1}, "epoch": 3}
    torch.save(tree, tmp_path / "moco.pth")
    found = inspect(tmp_path / "moco.pth")
    assert (found.formats, found.format, found.candidates, found.taken) == (["moco"], "moco", ["query", "key"], "query")
    assert found.dropped["module.encoder_q.fc.weight"] == "head of the trunk"
    assert found.dropped["module.encoder_k.conv1.weight"] == "another network (key)"
    assert found.dropped["module.queue"] == "beside the trunk"
    assert found.dropped["optimizer"] == "no weight of the network"
    report = found.report()
    assert "query is taken: the authors release or evaluate it (--trunk takes another: key)" in report
    assert "module.encoder_k.*: another network (key)" in report
    assert "'state_dict.module.encoder_q.' begins the names of a trunk" in report
    assert inspect(tmp_path / "moco.pth", "key").why == "it was asked for"


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "npz", "folder"])
def test_headers_are_enough_and_torch_is_not_imported(tmp_path: Path, trained_looking: Make, kind: str) -> None:
    path, state = tmp_path / "weights.bin", trained_looking("resnet18")
    if kind in ("zip", "legacy"):
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "npz":
        np.savez(path, **{name: one.numpy() for name, one in state.items()})
        path = path.with_suffix(".bin.npz")
    elif kind == "safetensors":
        save_file(state, path, {"format": "pt"})
    else:
        path = tmp_path / "snapshot"
        path.mkdir()
        (path / "config.json").write_text("{}")
        save_file(state, path / "model.safetensors", {"format": "pt"})
    found = inspect(path)
    assert (found.arch, found.problem) == ("resnet18", "")
    code = "import sys\nfrom benchmark.shell import perform\nfrom benchmark.cli import app\n"
    code += f"assert perform(app, ['inspect', {str(path)!r}]) == 0\nassert not {{'torch', 'numpy'}} & set(sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == found.report().strip()


def test_only_the_headers_are_read(tmp_path: Path, trained_looking: Make) -> None:
    """Damage in the numbers is no matter for it; `convert` finds that."""
    torch.save(trained_looking("resnet18"), tmp_path / "weights.pth")
    content = bytearray((tmp_path / "weights.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    assert inspect(tmp_path / "weights.pth").arch == "resnet18"
