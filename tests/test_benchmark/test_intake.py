"""Intake: every container is told by what is in it, and no mutation of names is ever let through."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from benchmark import backbones, certify, convert, intake, outlet
from benchmark.backbones import resnet
from benchmark.source import fill_counters, open_state_dict, tensor_names
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError

Make = Callable[[str], dict[str, Tensor]]
HERE = Path("weights.pth")


def test_the_folder_is_the_registry() -> None:
    assert {"densebench", "timm", "torchvision"} <= set(intake.names())
    for name in intake.names():
        assert callable(intake.load(name).matches)
        assert callable(intake.load(name).read)
    with pytest.raises(UsageError, match=r"no format 'torchvison'\. Did you mean 'torchvision'"):
        intake.load("torchvison")


# ---- architectures


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_architecture_is_told_by_the_names(trained_looking: Make, arch: str) -> None:
    tensors = trained_looking(arch)
    assert backbones.identify(tensors) == arch
    assert backbones.family(arch) is resnet.FAMILY
    assert resnet.config(arch)["depth"] == int(arch[6:])
    assert tensors["layer4.0.downsample.0.weight"].shape[0] == resnet.channels(arch)[3]
    assert tensors["layer1.0.conv2.weight"].shape[1] == 64


@pytest.mark.parametrize(
    "without", ["layer4.", "layer1.1.", "conv1.weight", "layer"], ids=["stage", "block", "stem", "all"]
)
def test_cut_network_is_no_architecture(trained_looking: Make, without: str) -> None:
    cut = {name: tensor for name, tensor in trained_looking("resnet18").items() if not name.startswith(without)}
    assert backbones.identify(cut) is None
    with pytest.raises(DensebenchError, match=r"weights\.pth"):
        intake.read(HERE, cut, {})


def test_a_stray_tensor_does_not_mislead(trained_looking: Make) -> None:
    tensors = trained_looking("resnet50")
    del tensors["layer1.0.conv3.weight"]
    assert backbones.identify({**tensors, "layer1.9.conv1.weight": torch.ones(1)}) == "resnet50"


def test_neighbours_in_timm_are_not_taken_for_ours() -> None:
    import timm

    for name in ("resnet26", "resnet18d", "resnet14t", "regnety_002"):
        tree = timm.create_model(name).state_dict()
        with pytest.raises(DensebenchError, match=r"weights\.pth"):
            intake.read(HERE, tree, {})


# ---- formats


@pytest.mark.parametrize(
    ("wrap", "name", "dropped"),
    [
        (lambda state: state, "torchvision", []),
        (lambda state: {"state_dict": state, "epoch": 3}, "torchvision", ["epoch"]),
        (lambda state: {"model": state, "args": argparse.Namespace(lr=1)}, "torchvision", ["args"]),
        (lambda state: {**state, "author": "someone"}, "torchvision", ["author"]),
        (
            lambda state: {
                "state_dict": state,
                "version": 2,
                "arch": "resnet18",
                "args": argparse.Namespace(),
            },
            "timm",
            ["version", "arch", "args"],
        ),
    ],
)
def test_containers(tmp_path: Path, trained_looking: Make, wrap: Any, name: str, dropped: list[str]) -> None:
    torch.save(wrap(trained_looking("resnet18")), tmp_path / "weights.pth")
    backbone = convert.require(convert.convert(tmp_path / "weights.pth"))
    assert backbone.certificate.format == name
    assert backbone.certificate.dropped == ["fc.weight", "fc.bias", *dropped]


def test_timms_published_files_are_proved_against_timms_network(tmp_path: Path, trained_looking: Make) -> None:
    path = tmp_path / "model.safetensors"
    save_file(trained_looking("resnet50"), path, {"format": "pt"})
    as_timm = convert.require(convert.convert(path))
    as_torchvision = convert.require(convert.convert(path, format="torchvision"))
    assert (as_timm.certificate.format, as_torchvision.certificate.format) == ("timm", "torchvision")
    assert as_timm.certificate.digest == as_torchvision.certificate.digest

    tree, metadata = checkpoint.read_tensors(path)
    formats = {name: intake.load(name).read(path, tree, metadata) for name in ("timm", "torchvision")}
    assert type(formats["timm"].network()).__module__ == "timm.models.resnet"
    assert type(formats["torchvision"].network()).__module__ == "torchvision.models.resnet"


def test_timms_averaged_weights_are_taken_and_it_is_said(trained_looking: Make) -> None:
    plain, averaged = trained_looking("resnet18"), trained_looking("resnet18")
    averaged["conv1.weight"] += 1
    tree = {"state_dict": plain, "state_dict_ema": averaged, "version": 2, "arch": "resnet18"}
    source = intake.read(HERE, tree, {})
    assert torch.equal(source.tensors["conv1.weight"], averaged["conv1.weight"])
    assert "state_dict_ema" in source.notes[0]
    assert "state_dict" in source.dropped


def test_two_formats_that_both_fit_are_an_error(trained_looking: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake.load("timm"), "REFINES", ())
    tree = trained_looking("resnet18")
    with pytest.raises(UsageError, match="fits several formats: timm, torchvision"):
        intake.detect(HERE, tree, {"format": "pt"})


def test_file_without_tensors() -> None:
    with pytest.raises(DensebenchError, match="holds no tensors"):
        intake.detect(HERE, {"epoch": 3}, {})


def test_forced_format_that_does_not_fit(trained_looking: Make) -> None:
    with pytest.raises(DensebenchError, match="not a checkpoint that densebench wrote"):
        intake.load("densebench").read(HERE, trained_looking("resnet18"), {})


# ---- the state dict


def test_the_first_container_with_the_landmark_is_opened() -> None:
    one, two = {"conv1.weight": torch.zeros(1)}, {"conv1.weight": torch.ones(1)}
    tree = {"optimizer": one, "state_dict": {"other": torch.zeros(1)}, "model": two}
    state = open_state_dict(tree, ("state_dict", "model"), ("conv1.weight",))
    assert state is not None
    assert state.tensors == two
    assert state.beside == ["optimizer", "state_dict"]
    assert open_state_dict(tree, ("state_dict",), ("conv1.weight",)) is None


def test_counters_are_filled_only_where_all_are_absent(trained_looking: Make) -> None:
    tensors = trained_looking("resnet18")
    assert fill_counters(tensors) == (tensors, [])
    del tensors["bn1.num_batches_tracked"]
    assert fill_counters(tensors)[0].keys() == tensors.keys()
    bare = {name: tensor for name, tensor in tensors.items() if "tracked" not in name}
    assert len(fill_counters(bare)[0]) == len(bare) + 20


def test_names_of_a_tree() -> None:
    tree = {"a": torch.zeros(1), "b": {"c": torch.ones(1), "d": {"e": torch.ones(2)}}, "f": 3}
    assert list(tensor_names(tree)) == ["a", "b.c", "b.d.e"]


# ---- mutations


def drop(state: dict[str, Any], name: str, other: str) -> None:
    del state[name]


def rename(state: dict[str, Any], name: str, other: str) -> None:
    state[name[:-1]] = state.pop(name)


def add(state: dict[str, Any], name: str, other: str) -> None:
    state[f"{name}.{other}"] = state[name]


def prefix(state: dict[str, Any], name: str, other: str) -> None:
    state[f"module.{name}"] = state.pop(name)


def overwrite(state: dict[str, Any], name: str, other: str) -> None:
    state[name] = state.pop(other)


def flatten(state: dict[str, Any], name: str, other: str) -> None:
    state[name] = state[name][None]


def unnumber(state: dict[str, Any], name: str, other: str) -> None:
    state[name] = "text"


MUTATIONS = [drop, rename, add, prefix, overwrite, flatten, unnumber]
NAMES = [
    "conv1.weight",
    "bn1.running_mean",
    "layer1.0.conv1.weight",
    "layer1.1.bn2.num_batches_tracked",
    "layer2.0.downsample.1.bias",
    "layer3.1.conv2.weight",
    "layer4.1.bn2.running_var",
]


@given(st.sampled_from(MUTATIONS), st.permutations(NAMES), st.sampled_from(["", "module."]))
@settings(max_examples=30, deadline=None)
def test_no_mutation_is_ever_certified(
    trained_looking: Make, mutate: Callable[..., None], names: list[str], wrapper: str
) -> None:
    state: dict[str, Any] = {wrapper + name: tensor for name, tensor in trained_looking("resnet18").items()}
    mutate(state, wrapper + names[0], wrapper + names[1])
    try:
        source = intake.read(HERE, state, {})
    except DensebenchError as error:
        assert "weights.pth" in error.message
        return
    certificate = certify.certify(source, to="mmdet").certificate
    assert not certificate.ok
    assert certificate.missing or certificate.leftover or certificate.mismatched


def test_every_format_and_target_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert rows == {*intake.names(), *outlet.names()}
