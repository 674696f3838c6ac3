"""Whatever is wrong with a checkpoint is refused for its own reason, and nobody gets past that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pretrain.backbones
from benchmark import convert
from benchmark.backbones import resnet
from benchmark.certificate import Certificate
from benchmark.certify import is_untrained
from pretrain import checkpoint
from pretrain.errors import DensebenchError, UsageError

State = dict[str, Tensor]
Make = Callable[[str], State]
HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture
def state(trained_looking: Make) -> State:
    return trained_looking("resnet18")


def converted(folder: Path, tree: dict[str, Any], **options: Any) -> convert.Backbone:
    torch.save(tree, folder / "weights.pth")
    return convert.convert(folder / "weights.pth", **options)


def refused(backbone: convert.Backbone, *because: str) -> Certificate:
    """Assert that exactly these reasons were given, and that nobody gets past them."""
    certificate = backbone.certificate
    assert not certificate.ok
    assert len(certificate.reasons) == len(because), certificate.reasons
    for reason, words in zip(certificate.reasons, because, strict=True):
        assert words in reason
        assert reason in certificate.report()
    with pytest.raises(DensebenchError, match="is not certified"):
        convert.require(backbone)
    return certificate


def largest(certificate: Certificate, weights: str) -> float:
    rows = [row["max_rel"] for row in certificate.parity if row["weights"] == weights]
    assert len(rows) == 4
    return max(rows)


# ---- the names


@pytest.mark.parametrize("prefix", ["encoder.", "net.", "module.encoder_x.", "modules.", "module.module."])
def test_wrong_prefix(tmp_path: Path, state: State, prefix: str) -> None:
    tree = {"state_dict": {prefix + name: tensor for name, tensor in state.items()}}
    for name in ("torchvision", "timm"):
        with pytest.raises(DensebenchError, match=f"behind the prefix 'state_dict.{prefix}'"):
            converted(tmp_path, tree, format=name)
    found = convert.require(converted(tmp_path, tree)).certificate  # the general reader sees the prefix
    assert (found.format, found.digest) == ("general", convert.require(converted(tmp_path, state)).certificate.digest)


def test_prefix_of_data_parallel_on_all_names_or_none(tmp_path: Path, state: State) -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    backbone = convert.require(converted(tmp_path, {"state_dict": wrapped, "epoch": 90}))
    assert backbone.certificate.dropped == ["module.fc.weight", "module.fc.bias", "epoch"]

    stray = "layer3.1.bn2.running_var"
    wrapped[stray] = wrapped.pop(f"module.{stray}")
    certificate = refused(converted(tmp_path, wrapped), "are not in the checkpoint", "have no place")
    assert certificate.missing == [stray]
    assert certificate.leftover == [f"{stray} (without module.)"]


@pytest.mark.parametrize(
    "name",
    ["bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.num_batches_tracked"],
)
def test_one_dropped_tensor(tmp_path: Path, state: State, name: str) -> None:
    del state[name]
    certificate = refused(converted(tmp_path, state), f"are not in the checkpoint: {name}.")
    assert certificate.missing == [name]
    assert not certificate.parity


@pytest.mark.parametrize(
    "name",
    ["layer4.1.conv3.weight", "layer1.2.conv1.weight", "layer1.0.scale", "projector.0.weight", "fc.0.weight"],
)
def test_extra_tensor_in_the_trunk(tmp_path: Path, state: State, name: str) -> None:
    certificate = refused(
        converted(tmp_path, {**state, name: torch.ones(4)}), f"have no place in the backbone: {name}."
    )
    assert certificate.leftover == [name]


def test_two_names_for_one_place(tmp_path: Path, state: State, change_family: Callable[..., None]) -> None:
    change_family("resnet", rename=lambda name: name.replace("layer1.0", "layer1.1"))
    certificate = refused(converted(tmp_path, state), "are not in the checkpoint", "have no place")
    assert "layer1.1.conv1.weight" in certificate.leftover


def test_another_architecture(tmp_path: Path, state: State, trained_looking: Make) -> None:
    with pytest.raises(DensebenchError, match=r"found resnet18, expected resnet50.*Drop --arch"):
        converted(tmp_path, state, arch="resnet50")
    with pytest.raises(UsageError, match="no architecture 'resnet5'"):
        converted(tmp_path, state, arch="resnet5")
    with pytest.raises(UsageError, match="no target 'mmde'"):
        converted(tmp_path, state, to="mmde")


def test_header_that_claims_another_architecture(tmp_path: Path, state: State) -> None:
    meta = checkpoint.Meta("resnet50", "densecl", "scenes", "x", 3.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    checkpoint.save(tmp_path / "ours.pth", state, meta)
    with pytest.raises(DensebenchError, match="says that it is a resnet50, but its tensors are those of a resnet18"):
        convert.convert(tmp_path / "ours.pth")


# ---- the values


def test_transposition_that_changes_a_shape(tmp_path: Path, state: State) -> None:
    name = "layer2.0.conv1.weight"
    state[name] = state[name].transpose(0, 1)
    certificate = refused(converted(tmp_path, state), f"another shape or type: {name}")
    assert certificate.mismatched == [f"{name} (expected 128x64x3x3, found 64x128x3x3)"]


def test_wide_network_under_the_plain_ones_names(tmp_path: Path) -> None:
    import torchvision

    with pytest.raises(DensebenchError, match="of no architecture that is served"):
        converted(tmp_path, torchvision.models.wide_resnet50_2().state_dict(), allow_untrained=True)


def test_numbers_of_another_type(tmp_path: Path, state: State) -> None:
    state["bn1.weight"] = state["bn1.weight"].long()
    refused(converted(tmp_path, state), "bn1.weight (expected 64, found 64 int64)")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_number_that_is_not_finite(tmp_path: Path, state: State, value: float) -> None:
    state["layer3.0.conv2.weight"][5, 6, 1, 2] = value
    certificate = refused(converted(tmp_path, state), "NaN or infinity: layer3.0.conv2.weight.")
    assert certificate.nonfinite == ["layer3.0.conv2.weight"]


def test_full_of_nan(tmp_path: Path, state: State) -> None:
    for tensor in state.values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
    refused(converted(tmp_path, state), "100 tensors hold NaN")


@pytest.mark.parametrize("silent", [False, True])
def test_untrained_network_passed_off_as_trained(tmp_path: Path, silent: bool) -> None:
    import timm

    network = timm.create_model("resnet18", zero_init_last=silent)
    network.train()(torch.rand(4, 3, 64, 64))  # running statistics alone are no training
    certificate = refused(converted(tmp_path, network.state_dict()), "The network is untrained")
    assert certificate.untrained
    assert not certificate.allow_untrained

    allowed = convert.require(converted(tmp_path, network.state_dict(), allow_untrained=True)).certificate
    assert allowed.untrained
    assert allowed.allow_untrained
    assert "untrained  yes, and allowed" in allowed.report()


def test_one_step_of_one_norm_layer_is_training() -> None:
    state = pretrain.backbones.build("resnet18", 0).state_dict()
    assert is_untrained(state)
    for name in ("layer4.1.bn2.weight", "layer4.1.bn2.bias"):
        assert not is_untrained({**state, name: state[name] + 1e-6 * torch.eye(512)[3]})


# ---- parity: right names, right shapes, wrong network


def swapping(one: str, other: str) -> Callable[[str], str]:
    return lambda name: {one: other, other: one}.get(name, name)


SWAPS = [
    ("layer1.0.conv1.weight", "layer1.0.conv2.weight"),
    ("layer1.0.conv2.weight", "layer1.1.conv1.weight"),
    ("layer3.1.bn1.weight", "layer3.1.bn2.weight"),
    ("layer2.0.bn1.running_mean", "layer2.0.bn1.bias"),
    ("layer4.0.bn2.running_var", "layer4.0.downsample.1.running_var"),
]


@pytest.mark.parametrize("swap", SWAPS)
def test_rename_table_that_swaps_two_layers_of_one_shape(
    tmp_path: Path, state: State, swap: tuple[str, str], change_family: Callable[..., None]
) -> None:
    change_family("resnet", rename=swapping(*swap))
    certificate = refused(converted(tmp_path, state), "converted one differ: C", "differ with random norm layers: C")
    assert certificate.filled == 120
    assert largest(certificate, "own") > 1e-3
    stage = int(swap[0][len("layer")])
    apart = [row["max_rel"] > certificate.threshold for row in certificate.parity[:4]]
    assert apart == [number >= stage for number in (1, 2, 3, 4)]


def test_swap_inside_branches_that_are_silent(tmp_path: Path, state: State, change_family: Callable[..., None]) -> None:
    """The last norm of every branch has the scale 0, so the checkpoint's own maps cannot show the swap."""
    for name in [name for name in state if name.endswith(("bn2.weight", "bn2.bias"))]:
        state[name].zero_()
    change_family("resnet", rename=swapping("layer1.0.conv1.weight", "layer1.1.conv1.weight"))
    certificate = refused(converted(tmp_path, state), "differ with random norm layers")
    assert largest(certificate, "own") == 0
    assert largest(certificate, "probe") > 1e-2


def test_stride_on_another_convolution(
    tmp_path: Path, trained_looking: Make, change_family: Callable[..., None]
) -> None:
    plain = resnet.config
    change_family("resnet", config=lambda arch, **options: plain(arch, **{**options, "style": "caffe"}))
    certificate = refused(converted(tmp_path, trained_looking("resnet50")), "differ: C3", "differ with random norm")
    assert certificate.parity[0]["max_rel"] == 0


def test_maps_that_do_not_depend_on_the_image_prove_nothing(tmp_path: Path, state: State) -> None:
    state["bn1.weight"].zero_()
    refused(converted(tmp_path, state), "maps of C2 are the same for two different images")


def test_maps_that_overflow_prove_nothing(tmp_path: Path, state: State) -> None:
    state["conv1.weight"].mul_(1e38)
    refused(converted(tmp_path, state), "maps of C2 are not finite")


def test_head_that_does_not_fit_the_sources_own_network(tmp_path: Path, state: State) -> None:
    state["fc.bias"] = torch.zeros(7)
    refused(converted(tmp_path, state), "The feature maps could not be compared: Error(s) in loading state_dict")


def test_a_stranger_under_a_published_name(tmp_path: Path, state: State) -> None:
    path = tmp_path / "resnet18-f37072fd.pth"
    torch.save(state, path)
    refused(
        convert.convert(path),
        "resnet18-f37072fd.pth is a name of torchvision's, but the file's sha256 begins with",
    )
