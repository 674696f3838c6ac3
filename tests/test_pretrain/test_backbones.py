"""Backbones against timm's own networks, and what they promise of their maps."""

import pytest
import timm
import torch

from pretrain import backbones
from pretrain.errors import DensebenchError


def images(height=64, width=96, seed=0):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def randomised(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1 + (tensor == 1))
    return network.eval()


@torch.no_grad()
def test_a_vit_is_timm_s():
    ours, theirs = randomised(backbones.build("vit_tiny_patch16")), timm.create_model("vit_tiny_patch16_224").eval()
    missing = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert missing.missing_keys == ["head.weight", "head.bias"] and not missing.unexpected_keys
    batch = images(224, 224)
    torch.testing.assert_close(ours.tokens(batch), theirs.forward_features(batch))
    maps = ours.stages(batch)
    assert [tuple(one.shape) for one in maps] == [(2, 192, 14, 14)] * 4
    expected = theirs.forward_intermediates(batch, indices=[2, 5, 8, 11], norm=False, intermediates_only=True)
    for ours_after, theirs_after in zip(maps[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours_after, theirs_after)
    torch.testing.assert_close(maps[3], ours.tokens(batch)[:, 1:].transpose(1, 2).unflatten(2, (14, 14)))
    torch.testing.assert_close(ours(batch), maps[3])


@torch.no_grad()
@pytest.mark.parametrize(
    "arch, side, stride", [("vit_small_patch16", 64, 16), ("vit_small_patch14", 56, 14), ("vit_tiny_patch8", 40, 8)]
)
def test_a_vit_takes_any_multiple_of_its_patch(arch, side, stride):
    vit = backbones.build(arch, seed=0).eval()
    assert vit.layout.strides == (stride,) * 4
    maps = vit.stages(images(side, 2 * side))
    assert {tuple(one.shape) for one in maps} == {(2, vit.layout.channels[3], side // stride, 2 * side // stride)}
    with pytest.raises(DensebenchError, match=f"multiple of {stride}"):
        vit.tokens(images(side, side + 1))


@torch.no_grad()
def test_positions_are_interpolated_and_belong_to_their_patches():
    vit = randomised(backbones.build("vit_tiny_patch16"))
    assert vit.positions(14, 14) is vit.pos_embed
    positions = vit.positions(7, 28)
    assert torch.equal(positions[:, 0], vit.pos_embed[:, 0]) and positions.shape == (1, 1 + 7 * 28, 192)
    vit.pos_embed[:, 1:] = torch.arange(14.0).repeat_interleave(14)[None, :, None]  # a row's number
    rows = vit.positions(28, 14)[0, 1:, 0].unflatten(0, (28, 14))
    assert (rows.diff(dim=0) >= 0).all() and rows.diff(dim=1).abs().max() < 1e-5


@torch.no_grad()
def test_a_masked_method_can_choose_patches_and_positions():
    vit, batch = randomised(backbones.build("vit_tiny_patch16")), images(64, 64)
    whole = vit.tokens(batch)
    tokens = torch.cat([vit.cls_token.expand(2, -1, -1), vit.patches(batch)], dim=1) + vit.positions(4, 4)
    torch.testing.assert_close(vit.encode(tokens), whole)
    order = torch.tensor([0, 3, 1, 2, *range(4, 17)])  # attention does not see an order, only positions
    torch.testing.assert_close(vit.encode(tokens[:, order]), whole[:, order], rtol=1e-4, atol=1e-4)
    assert vit.encode(tokens[:, :5]).shape == (2, 5, 192)


def test_drop_path_acts_in_training_only():
    vit, batch = randomised(backbones.build("vit_tiny_patch16")), images(32, 32)
    names, whole = list(vit.state_dict()), vit.tokens(batch)
    vit.drop_path(0.5)
    assert list(vit.state_dict()) == names and torch.equal(vit.eval().tokens(batch), whole)
    assert not torch.allclose(vit.train().tokens(batch), whole)


def test_an_unknown_architecture_is_refused_with_a_guess():
    with pytest.raises(DensebenchError, match="Did you mean 'vit_small_patch16'"):
        backbones.build("vit_small_p16")


@torch.no_grad()
def test_a_convnext_is_timm_s_with_its_final_norm_everywhere():
    ours, batch = randomised(backbones.build("convnext_tiny")), images(64, 96)
    theirs = timm.create_model("convnext_tiny", num_classes=0).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    maps = ours.stages(batch)
    for found, expected, stride in zip(maps[:3], theirs.forward_intermediates(batch)[1], (4, 8, 16), strict=False):
        torch.testing.assert_close(found, expected)
        assert found.shape[2:] == (64 // stride, 96 // stride)
    torch.testing.assert_close(maps[3], theirs.head.norm(theirs.forward_features(batch)))
    assert ours.layout.channels == (96, 192, 384, 768)


def test_a_convnext_s_branches_are_not_silent_and_drop_in_training_only():
    network, batch = backbones.build("convnext_tiny", seed=0), images()
    names, whole = list(network.state_dict()), network(batch)
    network.drop_path(0.5)
    assert list(network.state_dict()) == names and torch.equal(network.eval()(batch), whole)
    assert not torch.allclose(network.train()(batch), whole)


@torch.no_grad()
def test_a_regnet_is_timm_s_and_its_branches_are_not_silent():
    fresh = backbones.build("regnety_004", seed=0)
    assert all((one == 1).all() for name, one in fresh.state_dict().items() if name.endswith("conv3.bn.weight"))
    ours, batch = randomised(fresh), images(64, 96)
    theirs = timm.create_model("regnety_004", num_classes=0).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    maps = ours.stages(batch)
    expected = theirs.forward_intermediates(batch, indices=[1, 2, 3, 4], intermediates_only=True)
    for found, wanted, stride in zip(maps, expected, ours.layout.strides, strict=True):
        torch.testing.assert_close(found, wanted)
        assert found.shape[2:] == (64 // stride, 96 // stride)


@torch.no_grad()
def test_a_wide_resnet_has_every_channel_count_doubled():
    narrow, wide = backbones.build("resnet50", seed=0), backbones.build("resnet50x2", seed=0).eval()
    assert wide.state_dict().keys() == narrow.state_dict().keys()
    for name, tensor in narrow.state_dict().items():
        doubled = [2 * size for size in tensor.shape]
        doubled[2:] = tensor.shape[2:]
        if name == "conv1.weight":
            doubled[1] = 3
        assert list(wide.state_dict()[name].shape) == doubled
    maps = wide.stages(images())
    assert tuple(one.shape[1] for one in maps) == wide.layout.channels == (512, 1024, 2048, 4096)
    std = wide.layer1[0].conv1.weight.std().item()  # Kaiming, by fan-out
    assert std == pytest.approx((2 / 128) ** 0.5, rel=0.05)


def test_backbones_are_drawn_from_their_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = backbones.build("resnet18", seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = backbones.build("resnet18", seed=3), backbones.build("resnet18", seed=4)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_backbones_declare_their_maps():
    for arch in ("resnet18", "resnet50"):
        backbone = backbones.build(arch, seed=0).eval()
        with torch.no_grad():
            maps = backbone.stages(torch.zeros(1, 3, 64, 96))
        for found, channels, stride in zip(maps, backbone.layout.channels, backbone.layout.strides, strict=True):
            assert found.shape == (1, channels, 64 // stride, 96 // stride)
        norms = {name: value for name, value in backbone.state_dict().items() if name.endswith("bn2.weight")}
        assert all(bool((value == 1).all()) for value in norms.values())
    assert {"resnet18", "resnet50", "vit_small_patch16"} < set(backbones.names())
