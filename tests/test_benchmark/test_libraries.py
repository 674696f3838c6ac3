"""What users of timm and torchvision save: every way is read alike, certified, and refused with a wrong rename."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from benchmark import backbones, convert, intake
from benchmark.inspection import inspect
from pretrain import checkpoint, tensor_file

State = dict[str, Tensor]
Randomise = Callable[[torch.nn.Module], State]


def behind(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


WAYS: dict[str, Callable[[State], dict[str, Any]]] = {
    "state_dict": lambda state: state,
    "model": lambda state: {"model": state, "epoch": 90},
    "Lightning": lambda state: {"state_dict": behind("model.", state), "pytorch-lightning_version": "2.1"},
    "DDP": lambda state: {"state_dict": behind("module.", state), "epoch": 3},
    "safetensors": lambda state: state,
}
TIMM = {  # and the way whose file is converted; the others are read
    "resnet18": "state_dict",
    "resnet34": "model",
    "resnet50": "safetensors",
    "resnet101": "Lightning",
    "vit_tiny_patch16_224": "DDP",
    "vit_tiny_patch16_384": "safetensors",
    "vit_small_patch8_224": "model",
    "vit_small_patch16_224": "Lightning",
    "convnext_tiny": "Lightning",
    "convnext_small": "state_dict",
    "regnety_004": "DDP",
}


def write(folder: Path, state: State, way: str) -> Path:
    path = folder / f"{way}.{'safetensors' if way == 'safetensors' else 'pth'}"
    if way == "safetensors":
        safetensors.torch.save_file(state, path, {"format": "pt"})
    else:
        torch.save(WAYS[way](state), path)
    return path


def read(path: Path) -> tuple[str, State]:
    """The architecture and the trunk, before anything is converted."""
    contents = tensor_file.read(path)
    tree = checkpoint.tensors_of(path, contents)
    source = intake.read(path, tree, contents.metadata)
    return source.arch, source.tensors


@pytest.mark.parametrize("name", TIMM)
def test_architectures_of_timm_as_their_users_save_them(tmp_path: Path, randomised: Randomise, name: str) -> None:
    import timm

    state = randomised(timm.create_model(name))
    path = write(tmp_path, state, TIMM[name])
    backbone = convert.require(convert.convert(path, to="mmseg"))
    assert name.startswith(backbone.arch)
    trunk = {one for one in state if not one.startswith(backbones.family(backbone.arch).heads)}
    assert len(backbone.state) == len(trunk)
    told = inspect(path)
    assert (told.format, told.arch, told.trunk) == (backbone.certificate.format, backbone.arch, len(trunk))
    for way in WAYS:
        arch, tensors = read(write(tmp_path, state, way))
        assert (arch, tensors.keys()) == (backbone.arch, trunk), way
        assert all(torch.equal(tensor, state[one]) for one, tensor in tensors.items()), way


SWAPS = {  # of mm* names
    "resnet18": ("layer1.0.conv1.weight", "layer1.1.conv2.weight"),
    "vit_tiny_patch16_224": ("layers.1.attn.qkv.weight", "layers.2.attn.qkv.weight"),
    "convnext_tiny": ("stages.0.0.depthwise_conv.weight", "stages.0.1.depthwise_conv.weight"),
    "regnety_004": ("s3.b2.conv1.conv.weight", "s3.b3.conv1.conv.weight"),
}


@pytest.mark.parametrize("name", SWAPS)
def test_a_rename_that_swaps_two_layers_is_found_out(
    tmp_path: Path, randomised: Randomise, name: str, change_family: Callable[..., None]
) -> None:
    import timm

    path = write(tmp_path, randomised(timm.create_model(name)), TIMM[name])
    family = backbones.family(inspect(path).arch or "")
    plain, (one, other) = family.rename, SWAPS[name]
    table = {one: other, other: one}
    change_family(family.name, rename=lambda name: table.get(plain(name), plain(name)))
    certificate = convert.convert(path, to="mmseg").certificate
    assert not certificate.ok and not (certificate.missing or certificate.leftover or certificate.mismatched)
    assert "converted one differ" in certificate.reasons[0]


def test_an_architecture_that_is_not_served_is_refused(tmp_path: Path, randomised: Randomise) -> None:
    import timm

    told = inspect(write(tmp_path, randomised(timm.create_model("vit_small_patch32_224")), "state_dict"))
    assert told.arch is None and "no architecture that is served" in told.problem


@pytest.mark.parametrize("arch", ["vit_tiny_patch16", "convnext_tiny"])
@pytest.mark.parametrize("head", [True, False])
def test_torchvisions_own_naming(tmp_path: Path, randomised: Randomise, arch: str, head: bool) -> None:
    import torchvision

    network: Any = (
        torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768)
        if arch.startswith("vit")
        else torchvision.models.get_model(arch)
    )
    state = randomised(network)
    if not head:
        state = {name: one for name, one in state.items() if not name.startswith(backbones.family(arch).heads)}
    torch.save(state, tmp_path / "weights.pth")
    certificate = convert.require(convert.convert(tmp_path / "weights.pth", to="mmseg")).certificate
    assert (certificate.format, certificate.arch, len(certificate.dropped)) == ("torchvision", arch, 2 * head)


def test_an_untrained_vit_of_torchvision_is_noticed(tmp_path: Path) -> None:
    """Its hidden layers' biases are drawn at random, so that not every bias is 0."""
    import torchvision

    torch.save(torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768).state_dict(), tmp_path / "weights.pth")
    certificate = convert.convert(tmp_path / "weights.pth").certificate
    assert certificate.untrained and "The network is untrained" in certificate.reasons[0]
