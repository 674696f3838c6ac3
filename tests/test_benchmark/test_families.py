"""ViTs, ConvNeXts, NaViTs and wide ResNets: they convert with proof, and whatever is wrong in them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pretrain.backbones
from benchmark import backbones, convert
from benchmark.backbones import convnext, navit, vit
from benchmark.inspection import inspect
from benchmark.quiet import quiet
from pretrain import checkpoint
from pretrain.backbones.vit import resize_positions
from pretrain.errors import DensebenchError

State = dict[str, Tensor]
Randomise = Callable[[torch.nn.Module], State]
VIT, CONVNEXT, NAVIT = "vit_tiny_patch16", "convnext_tiny", "navit_tiny_patch16"


@pytest.fixture(scope="module")
def own(randomised: Randomise) -> dict[str, State]:
    return {arch: randomised(pretrain.backbones.build(arch, 0)) for arch in (VIT, CONVNEXT, NAVIT)}


def saved(folder: Path, state: State, arch: str) -> Path:
    path = folder / "checkpoint.safetensors"
    checkpoint.save(path, state, checkpoint.Meta(arch, "dino", "r", "d", 1.0, 0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    return path


def certified(path: Path, to: Any = "mmseg") -> convert.Backbone:
    return convert.require(convert.convert(path, to=to))


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


# ---- what is wrong


def refused(path: Path, words: str) -> None:
    certificate = convert.convert(path, to="mmseg").certificate
    assert not certificate.ok and any(words in reason for reason in certificate.reasons), certificate.reasons


VIT_SWAPS = [
    ("layers.3.ffn.layers.1.bias", "layers.3.attn.proj.bias"),
    ("layers.1.attn.qkv.weight", "layers.2.attn.qkv.weight"),
    ("layers.5.ln1.weight", "layers.5.ln2.weight"),
]
CONVNEXT_SWAPS = [
    ("stages.0.0.depthwise_conv.weight", "stages.0.1.depthwise_conv.weight"),
    ("stages.1.0.gamma", "stages.1.0.norm.weight"),
]
NAVIT_SWAPS = [
    ("encoder.pos_row", "encoder.pos_column"),
    ("encoder.blocks.4.norm1.weight", "encoder.blocks.4.norm2.weight"),
    ("encoder.blocks.11.norm2.weight", "encoder.norm.weight"),
]
SWAPS = [(vit, VIT, VIT_SWAPS), (convnext, CONVNEXT, CONVNEXT_SWAPS), (navit, NAVIT, NAVIT_SWAPS)]


@pytest.mark.parametrize("family, arch, swap", [(family, arch, one) for family, arch, all in SWAPS for one in all])
def test_rename_tables_that_swap_two_layers_of_one_shape(
    tmp_path: Path,
    own: dict[str, State],
    family: Any,
    arch: str,
    swap: tuple[str, str],
    change_family: Callable[..., None],
) -> None:
    plain, (one, other) = family.rename, swap
    table = {one: other, other: one}
    change_family(family.FAMILY.name, rename=lambda name: table.get(plain(name), plain(name)))
    refused(saved(tmp_path, own[arch], arch), "converted one differ")


def test_silent_branches_of_a_convnext_hide_no_swap(
    tmp_path: Path, own: dict[str, State], change_family: Callable[..., None]
) -> None:
    silent = {name: one * 0 if name.endswith("gamma") else one for name, one in own[CONVNEXT].items()}
    path, plain = saved(tmp_path, silent, CONVNEXT), convnext.rename
    certified(path)
    pair = ("stages.2.0.pointwise_conv1.weight", "stages.2.1.pointwise_conv1.weight")
    table = dict((pair, pair[::-1]))
    change_family("convnext", rename=lambda name: table.get(plain(name), plain(name)))
    refused(path, "differ with random norm layers")


def test_queries_and_keys_in_another_order(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark import certify

    plain = certify._rename

    def reordered(tensors: State, family: Any) -> Any:
        state, collisions = plain(tensors, family)
        query, key, value = state["layers.0.attn.qkv.weight"].chunk(3)
        return {**state, "layers.0.attn.qkv.weight": torch.cat([value, query, key])}, collisions

    monkeypatch.setattr(certify, "_rename", reordered)
    refused(saved(tmp_path, own[VIT], VIT), "converted one differ: 1/4")


def test_position_embeddings_that_are_lost(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing in the file; not added by the backbone; shifted by one place; another interpolation."""
    path = saved(tmp_path, {name: one for name, one in own[VIT].items() if name != "pos_embed"}, VIT)
    refused(path, "are not in the checkpoint: pos_embed.")
    path = saved(tmp_path, own[VIT], VIT)
    with quiet():
        from mmpretrain.models.backbones import vision_transformer

    plain = vision_transformer.resize_pos_embed
    for wrong in (
        lambda positions, *args, **options: plain(positions, *args, **options) * 0,
        lambda positions, *args, **options: plain(positions, *args, **options).roll(1, 1),
        lambda positions, old, new, **options: plain(positions, old, new, **{**options, "mode": "bilinear"}),
    ):
        monkeypatch.setattr(vision_transformer, "resize_pos_embed", wrong)
        refused(path, "converted one differ: 1/4")


def test_a_wrong_eps_of_the_norms(tmp_path: Path, own: dict[str, State], change_family: Callable[..., None]) -> None:
    faint = {name: one * 1e-3 if name.startswith(("patch", "pos", "cls")) else one for name, one in own[VIT].items()}
    path, plain = saved(tmp_path, faint, VIT), vit.config
    certified(path)
    wrong = {"type": "LN", "eps": 1e-5}  # mmseg's
    change_family("vit", config=lambda arch, **options: {**plain(arch, **options), "norm_cfg": wrong})
    refused(path, "converted one differ: 1/4")


def test_rows_and_columns_of_a_navit_that_are_counted_otherwise(
    tmp_path: Path, own: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled to the image, exchanged, and patches read column by column; the dense maps show each."""
    path = saved(tmp_path, own[NAVIT], NAVIT)
    from pretrain.backbones.navit import NaViT

    plain = NaViT.quarters
    for wrong in (
        lambda self, patches, owner, row, column: plain(self, patches, owner, row * 2, column),
        lambda self, patches, owner, row, column: plain(self, patches, owner, column, row),
        lambda self, patches, owner, row, column: plain(self, patches.flip(3), owner, row, column),
    ):
        monkeypatch.setattr(NaViT, "quarters", wrong)
        refused(path, "converted one differ: 1/4")
    monkeypatch.setattr(NaViT, "quarters", plain)
    certified(path)
    refused(saved(tmp_path, {name: one for name, one in own[NAVIT].items() if name != "pos_column"}, NAVIT), "pos_col")


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


# ---- position embeddings at a task's size


def test_position_embeddings_are_interpolated_once_and_noted(tmp_path: Path, own: dict[str, State]) -> None:
    backbone = certified(saved(tmp_path, own[VIT], VIT))
    at = convert.at_size(backbone, (160, 150))
    assert at.certificate.position_embedding == "14x14 -> 10x10, bicubic, without antialiasing"
    assert at.certificate.digest == backbone.certificate.digest and at.certificate.ok
    expected = resize_positions(own[VIT]["pos_embed"], (14, 14), (10, 10))
    assert torch.equal(at.state["pos_embed"], expected)
    assert convert.at_size(backbone, None) is backbone
    same = convert.at_size(backbone, (224, 224))
    assert same.certificate.position_embedding == "14x14, as they are"


@torch.no_grad()
def test_maps_of_a_vit_cover_the_image_exactly(own: dict[str, State]) -> None:
    """An image that patches do not cover is stretched, not padded: what lies at the border stays there."""
    with quiet():
        from benchmark.trunks.targets import FittedViT
    config = vit.config(VIT, size=(150, 150))
    config.pop("type")
    network = FittedViT(**config)
    network.eval()  # mmpretrain's returns nothing
    state, _ = vit.resized(VIT, {vit.rename(name): one for name, one in own[VIT].items()}, (150, 150))
    network.load_state_dict(state, strict=True)
    images = torch.rand(1, 3, 150, 70)
    maps = network(images)
    assert {tuple(one.shape[2:]) for one in maps} == {(10, 5)}
    stretched = torch.nn.functional.interpolate(images, (160, 80), mode="bilinear")
    torch.testing.assert_close(maps[3], network(stretched)[3])
    with pytest.raises(RuntimeError, match="size mismatch for pos_embed"):
        network.load_state_dict({vit.rename(name): one for name, one in own[VIT].items()}, strict=True)
