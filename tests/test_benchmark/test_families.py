"""ViTs, ConvNeXts, NaViTs and wide ResNets: they convert with proof, and whatever is wrong in them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import CONVNEXT, NAVIT, VIT, State, certified, saved

import pretrain.backbones
from benchmark import backbones, convert
from benchmark.backbones import navit
from benchmark.inspection import inspect
from benchmark.quiet import quiet
from pretrain import checkpoint
from pretrain.errors import DensebenchError

Randomise = Callable[[torch.nn.Module], State]


# ---- both halves know the same architectures


def test_both_halves_know_the_same_architectures() -> None:
    assert sorted(backbones.names()) == sorted(pretrain.backbones.names())
    with torch.device("meta"):
        for arch in backbones.names():
            network = pretrain.backbones.build(arch)
            family = backbones.family(arch)
            assert backbones.identify(network.state_dict()) == arch
            assert family.channels(arch) == network.layout.channels
            assert family.strides(arch) == network.layout.strides


# ---- our own checkpoints, and the control rows


@pytest.mark.parametrize("arch", [VIT, CONVNEXT, NAVIT])
def test_our_own_checkpoints_are_certified_for_both_packages(tmp_path: Path, own: dict[str, State], arch: str) -> None:
    path = saved(tmp_path, own[arch], arch)
    for to in ("mmdet", "mmseg"):
        backbone = certified(path, to)
        certificate = backbone.certificate
        assert (certificate.format, certificate.arch, certificate.filled) == ("densebench", arch, len(own[arch]))
        assert certificate.digest == checkpoint.digest(backbone.state) and not certificate.untrained
        assert len(certificate.parity) == 8
    assert certificate.position_embedding == ("14x14, as they are" if arch == VIT else None)


@pytest.mark.parametrize("arch", [VIT, CONVNEXT, NAVIT, "resnet50x2"])
def test_a_random_init_is_certified_as_such(arch: str) -> None:
    certificate = convert.require(convert.random_init(arch, 1, to="mmseg")).certificate
    assert certificate.digest == f"random:{arch}:{backbones.family(arch).init}"
    assert certificate.untrained and certificate.allow_untrained


def test_resnet_200_and_wide_ones_take_their_target(tmp_path: Path, randomised: Randomise) -> None:
    state = randomised(pretrain.backbones.build("resnet50x2", 0))
    assert certified(saved(tmp_path, state, "resnet50x2")).certificate.filled == 318
    with quiet():
        from mmdet.registry import MODELS as DETECTION
        from mmseg.registry import MODELS as SEGMENTATION

        import benchmark.trunks.deep  # noqa: F401
    with torch.device("meta"):
        wanted = pretrain.backbones.build("resnet200x2").state_dict()
        for models in (DETECTION, SEGMENTATION):
            config = backbones.family("resnet200x2").config("resnet200x2")
            found = models.get(config.pop("type"))(**config).state_dict()
            assert {name: one.shape for name, one in found.items()} == {name: one.shape for name, one in wanted.items()}


# ---- ViTs and ConvNeXts as code bases of self-supervision save them


def behind(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def marked(state: State, by: float) -> State:
    return {name: tensor + by for name, tensor in state.items()}


def dinov2(registers: int, randomised: Randomise) -> State:
    from timm.models.vision_transformer import VisionTransformer

    network = VisionTransformer(518, 14, embed_dim=384, num_heads=6, num_classes=0, init_values=1.0)
    extra = {"mask_token": torch.randn(1, 384)}
    if registers:
        extra["register_tokens"] = torch.randn(1, registers, 384)
    return {**randomised(network), **extra}


def as_the_authors(state: State) -> State:
    """A ConvNeXt's names as its authors have them, out of timm's, without layer scales."""
    names = {}
    for name in state:
        new = name.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace(".blocks", "")
        new = new.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        parts = new.split(".")
        names[name] = f"downsample_layers.{parts[1]}.{'.'.join(parts[3:])}" if "downsample." in new else new
    return {names[name]: tensor for name, tensor in state.items() if not name.endswith("gamma")}


def trees(own: dict[str, State], randomised: Randomise) -> dict[str, tuple[dict[str, Any], str, dict[str, Any]]]:
    """Format -> a file of it, its architecture and its traits."""
    net, other = own[VIT], marked(own[VIT], 0.25)
    head, decoder = {"mlp.0.weight": torch.ones(2, 2)}, {"decoder_embed.weight": torch.ones(2, 2)}
    token = {"mask_token": torch.ones(1, 1, 192)}
    student = behind("module.backbone.", other) | behind("module.head.", head)
    return {
        "dino": (
            {"teacher": behind("backbone.", net) | behind("head.", head), "student": student, "epoch": 3},
            VIT,
            {},
        ),
        "mae": ({"model": net | decoder | token, "epoch": 799}, VIT, {}),
        "droppos": (
            {"state_dict": behind("module.", net | decoder | token | {"mask_pos_token": token["mask_token"]}),
             "model": "mae_vit_tiny"},
            VIT,
            {},
        ),
        "dinov2": (dinov2(4, randomised), "vit_small_patch14", {"layer_scale": True, "registers": 4}),
        "convnext": (
            {"model": behind("module.backbone.", as_the_authors(own[CONVNEXT])) | behind("module.projector.", head)},
            CONVNEXT,
            {"layer_scale": False},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("format", ["dino", "mae", "droppos", "dinov2", "convnext"])
def test_files_of_self_supervision(tmp_path: Path, own: dict[str, State], randomised: Randomise, format: str) -> None:
    tree, arch, traits = trees(own, randomised)[format]
    torch.save(tree, tmp_path / "weights.pth")
    backbone = certified(tmp_path / "weights.pth")
    assert (backbone.certificate.format, backbone.arch, backbone.traits) == (format, arch, traits)
    told = inspect(tmp_path / "weights.pth")
    assert (told.format, told.arch, told.trunk) == (format, arch, len(backbone.state))
    if format in ("dino", "mae", "droppos"):
        assert torch.equal(backbone.state["cls_token"], own[VIT]["cls_token"])
    if format == "dino":
        student = convert.require(convert.convert(tmp_path / "weights.pth", to="mmseg", trunk="student"))
        assert torch.equal(student.state["cls_token"], own[VIT]["cls_token"] + 0.25)


# ---- NaViTs


@torch.no_grad()
def test_a_navit_takes_images_of_any_size(own: dict[str, State]) -> None:
    with quiet():
        from benchmark.trunks.navit import PackedNaViT
    network = PackedNaViT(NAVIT, (1, 3))
    network.load_state_dict({navit.rename(name): one for name, one in own[NAVIT].items()}, strict=True)
    images = torch.rand(2, 3, 100, 33)
    maps = network(images)
    assert [tuple(one.shape) for one in maps] == [(2, 192, 7, 3)] * 2
    stretched = torch.nn.functional.interpolate(images, (112, 48), mode="bilinear")
    torch.testing.assert_close(maps, tuple(network.encoder.stages(stretched)[index] for index in (1, 3)))
    with pytest.raises(DensebenchError, match="16 x 2064 pixels cannot be read in patches"):
        network(torch.zeros(1, 3, 16, 2049))


def test_a_navit_behind_any_prefix(tmp_path: Path, own: dict[str, State]) -> None:
    torch.save({"state_dict": behind("learner.encoder.", own[NAVIT])}, tmp_path / "weights.pth")
    certificate = certified(tmp_path / "weights.pth").certificate
    assert (certificate.format, certificate.arch, certificate.filled) == ("general", NAVIT, len(own[NAVIT]))
