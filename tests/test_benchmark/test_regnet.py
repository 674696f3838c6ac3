"""RegNetYs: timm's, torchvision's and VISSL's (SEER's) names become one certified trunk, or are refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.regnet import _filter_fn as as_timm_reads
from torch import Tensor, nn

import pretrain.backbones
from benchmark import backbones, convert, outlet
from benchmark.backbones import regnet
from benchmark.export import export
from benchmark.inspection import inspect
from benchmark.quiet import quiet
from pretrain.errors import DensebenchError, UsageError

State = dict[str, Tensor]
Make = Callable[[str], State]
ARCH = "regnety_004"
TO_VISSL = [  # of torchvision's names, after ClassyVision's and VISSL's own definitions
    (r"^stem\.", "conv1.stem."),
    (r"^trunk_output\.block(\d)\.", lambda found: f"res{int(found[1]) + 1}."),
    (r"\.f\.se\.fc1\.", ".f.se.excitation.0."),
    (r"\.f\.se\.fc2\.", ".f.se.excitation.2."),
    (r"\.f\.c\.0\.", ".f.c."),
    (r"\.f\.c\.1\.", ".f.final_bn."),
    (r"\.proj\.0\.", ".proj."),
    (r"\.proj\.1\.", ".bn."),
]


def vissl_name(name: str) -> str:
    for pattern, new in TO_VISSL:
        name = re.sub(pattern, new, name)
    return name


def vissl(state: State) -> dict[str, Any]:
    trunk = {f"_feature_blocks.{vissl_name(name)}": one for name, one in state.items() if not name.startswith("fc.")}
    heads = {"0.prototypes0.weight": torch.randn(4, 4), "0.projection_head.0.weight": torch.randn(4, 4)}
    return {"classy_state_dict": {"base_model": {"model": {"trunk": trunk, "heads": heads}}}, "iteration": 244000}


NAMINGS: dict[str, Callable[[State], dict[str, Any]]] = {
    "torchvision": lambda state: state,
    "timm": lambda state: {"state_dict": as_timm_reads(dict(state)), "epoch": 3},
    "vissl": vissl,
    "general": lambda state: {vissl_name(name): one for name, one in state.items()},  # as VISSL's own script has them
}


@pytest.fixture
def state(trained_looking: Make) -> State:
    return trained_looking("regnet_y_400mf")


def saved(folder: Path, tree: dict[str, Any]) -> Path:
    torch.save(tree, folder / "weights.pth")
    return folder / "weights.pth"


def refused(path: Path, words: str) -> None:
    certificate = convert.convert(path, to="mmseg").certificate
    assert not certificate.ok and any(words in reason for reason in certificate.reasons), certificate.reasons


@pytest.mark.parametrize("to", ["mmdet", "mmseg"])
def test_every_naming_gives_the_same_certified_trunk(tmp_path: Path, state: State, to: Any) -> None:
    digests = set()
    for naming, make in NAMINGS.items():
        path = saved(tmp_path, make(state))
        certificate = convert.require(convert.convert(path, to=to)).certificate
        assert (certificate.format, certificate.arch, certificate.filled) == (naming, ARCH, len(state) - 2)
        assert not certificate.untrained and len(certificate.parity) == 8
        assert ("head.fc" if naming == "timm" else "fc") in "".join(certificate.dropped) or naming == "vissl"
        told = inspect(path)
        assert (told.format, told.arch, told.trunk, told.problem) == (naming, ARCH, len(state) - 2, "")
        digests.add(certificate.digest)
    assert len(digests) == 1


def test_vissls_names_are_read_as_timm_reads_them(state: State) -> None:
    tree = vissl(state)
    expected = as_timm_reads(tree)
    trunk = tree["classy_state_dict"]["base_model"]["model"]["trunk"]
    assert len(expected) == len(trunk) == len(state) - 2
    for name, tensor in trunk.items():
        assert expected[regnet.rename(name.removeprefix("_feature_blocks."))] is tensor


SWAPS = [
    ("s3.b2.conv1.conv.weight", "s3.b3.conv1.conv.weight"),
    ("s2.b1.conv1.bn.running_var", "s2.b1.conv2.bn.running_var"),
    ("s4.b1.downsample.bn.weight", "s4.b1.conv3.bn.weight"),
    ("s1.b1.se.fc2.bias", "s1.b1.conv3.bn.bias"),
]


@pytest.mark.parametrize("naming", ["torchvision", "timm", "vissl"])
@pytest.mark.parametrize("swap", SWAPS)
def test_a_rename_table_that_swaps_two_layers_is_refused(
    tmp_path: Path, state: State, naming: str, swap: tuple[str, str], change_family: Callable[..., None]
) -> None:
    plain, (one, other) = regnet.rename, swap
    table = {one: other, other: one}
    change_family("regnet", rename=lambda name: table.get(plain(name), plain(name)))
    refused(saved(tmp_path, NAMINGS[naming](state)), "converted one differ")


@pytest.mark.parametrize("naming", ["torchvision", "timm", "vissl"])
def test_a_lost_tensor_is_named_and_a_network_without_excitation_is_none(
    tmp_path: Path, state: State, naming: str
) -> None:
    lost = {name: one for name, one in state.items() if name != "trunk_output.block3.block3-4.f.c.1.running_mean"}
    refused(saved(tmp_path, NAMINGS[naming](lost)), "not in the checkpoint: s3.b5.conv3.bn.running_mean.")
    bare = {name: one for name, one in state.items() if ".se." not in name}
    with pytest.raises(DensebenchError, match="RegNetX"):
        convert.convert(saved(tmp_path, NAMINGS[naming](bare)))


def test_two_namings_in_one_block_are_refused(tmp_path: Path, state: State) -> None:
    mixed = NAMINGS["general"](state)
    mixed["s2.b2.conv1.conv.weight"] = mixed.pop("res3.block2-1.f.a.0.weight")
    refused(saved(tmp_path, mixed), "a block under VISSL's names lacks 'f.a.0.weight'")


BY_VISSL = {
    "conv1.conv": "f.a.0",
    "conv1.bn": "f.a.1",
    "conv2.conv": "f.b.0",
    "conv2.bn": "f.b.1",
    "se.fc1": "f.se.excitation.0",
    "se.fc2": "f.se.excitation.2",
    "conv3.conv": "f.c",
    "conv3.bn": "f.final_bn",
    "downsample.conv": "proj",
    "downsample.bn": "bn",
}


@pytest.mark.parametrize("arch", ["regnety_320", "regnety_640", "regnety_1280", "regnety_2560"])
def test_seers_four_are_known_by_vissls_names(arch: str) -> None:
    with torch.device("meta"):
        network = pretrain.backbones.build(arch)
    named = {}
    for name, tensor in network.state_dict().items():
        if block := re.fullmatch(r"s(\d)\.b(\d+)\.(\w+\.\w+)\.(\w+)", name):
            stage, number = int(block[1]), int(block[2])
            name = f"res{stage + 1}.block{stage}-{number - 1}.{BY_VISSL[block[3]]}.{block[4]}"
        named[name.replace("stem.conv", "conv1.stem.0").replace("stem.bn", "conv1.stem.1")] = tensor
    assert backbones.identify(named) == arch
    assert sorted(map(regnet.rename, named)) == sorted(network.state_dict())
    assert backbones.library_of(arch, named) == "vissl"
    del named["res4.block3-1.f.se.excitation.0.weight"], named["res4.block3-1.f.se.excitation.0.bias"]
    assert backbones.identify(named) == arch  # what is lost is named by the certificate


@torch.no_grad()
def test_a_protocol_s_dilations_and_norms_are_heard() -> None:
    with quiet():
        from benchmark.trunks.regnet import RegNetY
    asked = {"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4), "contract_dilation": True, "out_indices": (3, 1)}

    def built(**changes: Any) -> RegNetY:
        config = regnet.config(ARCH, **{**asked, **changes})
        return RegNetY(**{key: value for key, value in config.items() if key != "type"})

    network, images = built(), torch.rand(1, 3, 64, 96)
    assert [tuple(one.shape) for one in network(images)] == [(1, 440, 8, 12), (1, 104, 8, 12)]
    assert network.s3.b1.conv2.conv.dilation == (1, 1) and network.s3.b2.conv2.conv.dilation == (2, 2)
    assert network.s4.b1.conv2.conv.dilation == (2, 2) and network.s4.b2.conv2.conv.dilation == (4, 4)
    whole = pretrain.backbones.build(ARCH)
    assert {name: one.shape for name, one in network.state_dict().items()} == {
        name: one.shape for name, one in whole.state_dict().items()
    }
    assert network.train().stem.bn.training and not built(norm_eval=True).train().s4.b6.conv3.bn.training
    fixed = built(norm_cfg={"type": "BN", "requires_grad": False})
    assert not fixed.stem.bn.weight.requires_grad and fixed.stem.conv.weight.requires_grad
    together = built(norm_cfg={"type": "SyncBN", "requires_grad": True})
    assert (
        isinstance(together.s2.b1.conv1.bn, nn.SyncBatchNorm)
        and together.state_dict().keys() == whole.state_dict().keys()
    )
    for wrong in ({"contract_dilation": False}, {"strides": (1, 2, 2, 2)}, {"dilations": (1, 1, 1, 1)}):
        with pytest.raises(UsageError, match="regnety_004 cannot have strides"):
            built(**wrong)


@pytest.mark.parametrize(("to", "name"), [("timm", "out.safetensors"), ("torchvision", "out.pth")])
def test_timm_and_torchvision_take_it_back(tmp_path: Path, state: State, to: str, name: str) -> None:
    path = saved(tmp_path, vissl(state))
    found = export(path, to, tmp_path / name)
    assert found.certificate.ok and found.certificate.format == to
    assert found.certificate.digest == convert.convert(path).certificate.digest


def test_what_a_target_does_not_have_is_refused(tmp_path: Path, state: State) -> None:
    path = saved(tmp_path, state)
    for to, name in (("detectron2", "out.pkl"), ("hf-safetensors", "out")):
        with pytest.raises(DensebenchError, match=ARCH):
            export(path, to, tmp_path / name)
    larger = dataclasses.replace(convert.convert(path), arch="regnety_640")
    with pytest.raises(DensebenchError, match="torchvision has no regnety_640"):
        outlet.load("torchvision").write(tmp_path / "out.pth", larger)
