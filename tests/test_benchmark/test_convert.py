"""Conversion: what is right is certified with parity, and written with all that is known of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pretrain.backbones
from benchmark import convert, intake
from benchmark.backbones import resnet
from benchmark.certificate import Certificate
from benchmark.quiet import quiet
from pretrain import checkpoint
from pretrain.errors import DensebenchError

State = dict[str, Tensor]
Make = Callable[[str], State]
HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture
def state(trained_looking: Make) -> State:
    return trained_looking("resnet18")


def converted(folder: Path, tree: dict[str, Any], **options: Any) -> convert.Backbone:
    torch.save(tree, folder / "weights.pth")
    return convert.convert(folder / "weights.pth", **options)


def largest(certificate: Certificate, weights: str) -> float:
    rows = [row["max_rel"] for row in certificate.parity if row["weights"] == weights]
    assert len(rows) == 4
    return max(rows)


# ---- what is right


@pytest.mark.parametrize("arch", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_every_resnet_is_certified_for_both_packages(tmp_path: Path, trained_looking: Make, arch: str) -> None:
    state = trained_looking(arch)
    trunk = {name: tensor for name, tensor in state.items() if name not in HEAD}
    found = [converted(tmp_path, state, to=to, arch=arch) for to in ("mmdet", "mmseg")]
    for backbone in found:
        certificate = convert.require(backbone).certificate
        assert (certificate.format, certificate.arch) == ("torchvision", arch)
        assert certificate.filled == len(trunk)
        assert set(certificate.dropped) == HEAD
        assert largest(certificate, "own") <= 1e-6
        assert largest(certificate, "probe") <= 1e-6
        assert not certificate.untrained
        assert backbone.state.keys() == trunk.keys()
        assert all(torch.equal(backbone.state[name], tensor) for name, tensor in trunk.items())
    assert found[0].certificate.digest == found[1].certificate.digest == checkpoint.digest(trunk)


def test_the_networks_of_both_packages_compute_what_torchvision_does(tmp_path: Path, trained_looking: Make) -> None:
    """Parity once more, by hand: other images, other layers of code, and the written file."""
    import torchvision

    state = trained_looking("resnet50")
    source = torchvision.models.resnet50()
    source.load_state_dict(state, strict=True)
    source.eval()
    images = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with quiet():
        from mmdet.models.backbones import ResNet as DetectionResNet
        from mmseg.models.backbones import ResNet as SegmentationResNet
    for target, to in ((DetectionResNet(50), "mmdet"), (SegmentationResNet(50), "mmseg")):
        convert.write(converted(tmp_path, state, to=to), tmp_path / "written.pth")
        target.load_state_dict(torch.load(tmp_path / "written.pth")["state_dict"], strict=True)
        target.eval()
        with torch.inference_mode():
            maps = source.maxpool(source.relu(source.bn1(source.conv1(images))))
            for stage, found in enumerate(target(images), start=1):
                maps = source.get_submodule(f"layer{stage}")(maps)
                torch.testing.assert_close(found, maps)
        assert maps.shape[1] == resnet.channels("resnet50")[-1]


def test_the_scope_that_an_earlier_run_left_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine looks a type up in the package of the last Runner of a process."""
    with quiet():
        import mmdet.registry
        import mmseg.registry
        from mmengine.registry import DefaultScope

    built: list[str] = []
    for registry in (mmdet.registry, mmseg.registry):
        plain = registry.MODELS.get("ResNet")
        monkeypatch.setattr(plain, "__init__", _noting(plain.__init__, plain.__module__, built))
    for left_over in ("mmseg", "mmdet", "mmengine"):  # the last is what pretraining leaves
        with DefaultScope.overwrite_default_scope(left_over):
            for to in ("mmdet", "mmseg"):
                convert.random_init("resnet18", 0, to=to)
                assert {module.partition(".")[0] for module in built} == {to}
                built.clear()


def _noting(construct: Callable[..., None], what: str, built: list[str]) -> Callable[..., None]:
    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        built.append(what)
        construct(self, *arguments, **options)

    return noted


def test_our_own_checkpoint_brings_its_normalisation_and_meta(tmp_path: Path, state: State) -> None:
    inputs = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "channel_order": "BGR"}
    meta = checkpoint.Meta("resnet18", "densecl", "scenes", "x", 3.0, 5, **inputs)
    trunk = {name: tensor for name, tensor in state.items() if name not in HEAD}
    for name in ("ours.safetensors", "ours.pth"):
        checkpoint.save(tmp_path / name, trunk, meta)
        backbone = convert.require(convert.convert(tmp_path / name, to="mmseg", arch="resnet18"))
        assert backbone.certificate.format == "densebench"
        assert (backbone.mean, backbone.std, backbone.channel_order) == ((1, 2, 3), (4, 5, 6), "BGR")
        assert (backbone.meta["method"], backbone.meta["seed"]) == ("densecl", 5)
        assert backbone.certificate.digest == backbone.meta["sha256"]


def test_half_precision_is_widened_and_said(tmp_path: Path, state: State) -> None:
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    backbone = convert.require(converted(tmp_path, halved))
    assert backbone.state["conv1.weight"].dtype == torch.float32
    assert backbone.certificate.notes == ["Tensors of float16 were taken as float32."]


def test_older_files_without_counters(tmp_path: Path, state: State) -> None:
    older = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    backbone = convert.require(converted(tmp_path, older))
    assert backbone.state["bn1.num_batches_tracked"] == 0
    assert backbone.certificate.notes == ["The file has no num_batches_tracked: 20 counters were set to 0."]


def test_converting_leaves_the_global_generator_alone(tmp_path: Path, state: State) -> None:
    before = torch.get_rng_state()
    converted(tmp_path, state)
    convert.random_init("resnet18", 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_certificate_survives_json(tmp_path: Path, state: State) -> None:
    good = converted(tmp_path, state).certificate
    del state["layer1.0.bn1.bias"]
    for certificate in (good, converted(tmp_path, state).certificate):
        values = json.loads(json.dumps(certificate.to_dict(), allow_nan=False))
        assert values["ok"] is certificate.ok
        assert Certificate.from_dict(values) == certificate


# ---- the control row


def test_random_init_is_the_init_that_pretraining_starts_from() -> None:
    backbone = convert.require(convert.random_init("resnet18", 4, to="mmseg"))
    expected = pretrain.backbones.build("resnet18", 4).state_dict()
    assert all(torch.equal(backbone.state[name], tensor) for name, tensor in expected.items())
    assert backbone.certificate.digest == "random:resnet18:kaiming_fan_out"
    assert backbone.certificate.untrained
    other = convert.random_init("resnet18", 5)
    assert other.certificate.digest == backbone.certificate.digest
    assert not torch.equal(other.state["conv1.weight"], backbone.state["conv1.weight"])


# ---- the file


def test_write_refuses_what_is_not_certified(tmp_path: Path, state: State) -> None:
    del state["bn1.bias"]
    with pytest.raises(DensebenchError, match="is not certified for mmdet"):
        convert.write(converted(tmp_path, state), tmp_path / "written.pth")
    assert not (tmp_path / "written.pth").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_written_file_holds_the_certificate_and_is_read_again(tmp_path: Path, state: State, suffix: str) -> None:
    backbone = converted(tmp_path, state)
    convert.write(backbone, tmp_path / f"written{suffix}")
    _, metadata = checkpoint.read_tensors(tmp_path / f"written{suffix}")
    assert Certificate.from_dict(json.loads(metadata["certificate"])) == backbone.certificate
    assert json.loads(metadata["input"])["channel_order"] == "RGB"
    again = convert.require(convert.convert(tmp_path / f"written{suffix}"))
    assert again.certificate.digest == backbone.certificate.digest


def test_a_file_that_torchvision_publishes_is_named(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision = intake.load("torchvision")
    assert torchvision.published("resnet50")["0676ba61"] == "resnet50-0676ba61.pth"
    assert torchvision.published("resnet50")["19c8e357"] == "resnet50-19c8e357.pth"
    path = tmp_path / "renamed.pth"
    torch.save(state, path)
    assert convert.convert(path).certificate.known_file is None

    import hashlib

    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(torchvision, "published", lambda arch: {prefix: f"{arch}-{prefix}.pth"})
    certificate = convert.require(convert.convert(path)).certificate
    assert certificate.known_file == f"resnet18-{prefix}.pth"
    assert f"torchvision's resnet18-{prefix}.pth" in certificate.report()


def test_require_tells_how_to_let_an_untrained_network_pass(tmp_path: Path) -> None:
    untrained = converted(tmp_path, pretrain.backbones.build("resnet18", 0).state_dict())
    with pytest.raises(DensebenchError, match="--allow-untrained"):
        convert.require(untrained)
    certificate = dataclasses.replace(untrained.certificate, reasons=[])
    passed = dataclasses.replace(untrained, certificate=certificate)
    assert convert.require(passed) is passed
