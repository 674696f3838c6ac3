"""Files that we converted are read back: the renaming is undone, and the proof is made once more."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import CONVNEXT, NAVIT, VIT, State, certified, saved
from torch import Tensor

import pretrain.backbones
from benchmark import backbones, convert
from benchmark.backbones import vit
from benchmark.inspection import inspect
from benchmark.restated import statements
from pretrain import checkpoint
from pretrain.errors import DensebenchError

Randomise = Callable[[torch.nn.Module], State]


@pytest.mark.parametrize("arch", backbones.names())
def test_every_name_leads_back(arch: str) -> None:
    family = backbones.family(arch)
    with torch.device("meta"):
        names = list(pretrain.backbones.build(arch).state_dict())
    if family.name == "vit":  # what DINOv2's have, too
        names += ["reg_token", *(f"blocks.3.ls{one}.gamma" for one in (1, 2))]
    assert len({family.rename(name) for name in names}) == len(names)
    assert [family.plain(family.rename(name)) for name in names] == names


@pytest.mark.parametrize("arch", [VIT, CONVNEXT, NAVIT, "resnet18"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_converted_file_is_read_back_and_certified_again(
    tmp_path: Path, own: dict[str, State], randomised: Randomise, arch: str, suffix: str
) -> None:
    state = own[arch] if arch in own else randomised(pretrain.backbones.build(arch, 0))
    first = certified(saved(tmp_path, state, arch))
    convert.write(first, tmp_path / f"trunk{suffix}")
    told = inspect(tmp_path / f"trunk{suffix}")
    assert (told.format, told.arch, told.trunk) == ("converted", arch, len(first.state))
    again = certified(tmp_path / f"trunk{suffix}", "mmdet")
    assert (again.certificate.format, again.certificate.digest) == ("converted", first.certificate.digest)
    assert (again.mean, again.std, again.meta["method"]) == (first.mean, first.std, "dino")
    assert len(again.certificate.parity) == 8


@pytest.mark.parametrize(
    ("arch", "traits"),
    [(VIT, {"eps": 1e-3}), (CONVNEXT, {"final_eps": 1e-3}), ("resnet18", {"padding": "same"})],
)
def test_traits_that_tensors_do_not_show_come_back(
    tmp_path: Path, own: dict[str, State], randomised: Randomise, arch: str, traits: dict[str, Any]
) -> None:
    """Whatever made it: tensors, and a certificate that says how they are used."""
    state = own[arch] if arch in own else randomised(pretrain.backbones.build(arch, 0))
    plain = certified(saved(tmp_path, state, arch))
    certificate = dataclasses.replace(plain.certificate, traits=traits, notes=["Said before."])
    convert.write(dataclasses.replace(plain, certificate=certificate), tmp_path / "trunk.pth")
    again = certified(tmp_path / "trunk.pth")
    assert (again.traits, again.certificate.notes) == (traits, ["Said before."])


def test_a_wrong_way_back_does_not_pass(
    tmp_path: Path, own: dict[str, State], change_family: Callable[..., None]
) -> None:
    convert.write(certified(saved(tmp_path, own[VIT], VIT)), tmp_path / "trunk.pth")

    def swapped(name: str) -> str:
        return vit.plain(name.replace(".ln1.", ".x.").replace(".ln2.", ".ln1.").replace(".x.", ".ln2."))

    change_family("vit", plain=swapped)  # the same in both networks, so that their maps agree
    with pytest.raises(DensebenchError, match="no name of a vit_tiny_patch16's backbone"):
        convert.convert(tmp_path / "trunk.pth", to="mmseg")


def test_a_certificate_of_another_network_is_refused(tmp_path: Path, own: dict[str, Tensor]) -> None:
    backbone = certified(saved(tmp_path, own[VIT], VIT))
    lie = dataclasses.replace(backbone.certificate, arch=NAVIT)
    said = statements(dataclasses.replace(backbone, certificate=lie))
    checkpoint.write_tensors(tmp_path / "trunk.safetensors", backbone.state, said)
    with pytest.raises(DensebenchError, match="no name of a navit_tiny_patch16's backbone"):
        convert.convert(tmp_path / "trunk.safetensors")
    assert json.loads(said["certificate"])["arch"] == NAVIT
