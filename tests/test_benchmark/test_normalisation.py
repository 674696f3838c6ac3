"""How a network's input is normalised: what states it, who says it where nothing does, and what is assumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from families import CONVNEXT, VIT, State, certified, saved

from benchmark import convert
from benchmark.inspection import inspect
from benchmark.normalisation import ASSUMED, asked
from pretrain.errors import UsageError

HALF = (127.5, 127.5, 127.5)
STATED = {"mean": HALF, "std": HALF, "channel_order": "BGR"}


@pytest.fixture
def hub(tmp_path: Path, own: dict[str, State]) -> Path:
    """A ViT of timm's as the hub has it, without a configuration."""
    safetensors.torch.save_file(own[VIT], tmp_path / "model.safetensors", {"format": "pt"})
    return tmp_path


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_timms_configuration_is_read(hub: Path, file: str) -> None:
    config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (hub / "config.json").write_text(json.dumps(config))
    told = inspect(hub / file)
    assert (told.format, told.mean, told.std, told.channel_order) == ("timm", HALF, HALF, "RGB")
    assert ASSUMED not in told.notes


@pytest.mark.parametrize(
    "config", [None, {}, {"pretrained_cfg": 3}, {"pretrained_cfg": {"mean": [0.5, "x", 1], "std": 1}}]
)
def test_what_nothing_states_is_said_to_be_assumed(hub: Path, config: Any) -> None:
    if config is not None:
        (hub / "config.json").write_text(json.dumps(config))
    told = inspect(hub)
    assert told.mean == (123.675, 116.28, 103.53) and ASSUMED in told.notes


def test_what_the_user_states_is_taken_and_nothing_is_assumed(hub: Path) -> None:
    found = convert.require(convert.convert(hub, to="mmseg", inputs=STATED))
    assert (found.mean, found.std, found.channel_order) == (HALF, HALF, "BGR")
    assert ASSUMED not in found.certificate.notes
    convert.write(found, hub / "trunk.pth")
    assert (inspect(hub / "trunk.pth").mean, inspect(hub / "trunk.pth").channel_order) == (HALF, "BGR")
    with pytest.raises(UsageError, match="says itself how its images are normalised"):
        convert.convert(hub / "trunk.pth", inputs=STATED)


def test_the_certificate_says_what_was_assumed(hub: Path) -> None:
    assert ASSUMED in certified(hub).certificate.notes


def test_our_own_file_is_not_overruled(tmp_path: Path, own: dict[str, State]) -> None:
    path = saved(tmp_path, own[CONVNEXT], CONVNEXT)
    assert inspect(path).notes == []
    with pytest.raises(UsageError, match="--channel-order"):
        convert.convert(path, inputs=STATED)


def test_formats_that_define_it_assume_nothing(tmp_path: Path, trained_looking: Callable[[str], State]) -> None:
    import torch

    torch.save(trained_looking("resnet18"), tmp_path / "resnet18.pth")
    assert inspect(tmp_path / "resnet18.pth").notes == []
    torch.save({"anything.encoder." + k: v for k, v in trained_looking("resnet18").items()}, tmp_path / "x.pth")
    assert inspect(tmp_path / "x.pth").notes == [ASSUMED]


def test_a_part_of_it_and_another_unit_are_wrong_usage() -> None:
    assert asked([], [], None) == {}
    assert asked(HALF, HALF, None) == {**STATED, "channel_order": "RGB"}
    for mean, std, order, words in (
        (HALF, [], None, "--input-std wants three numbers"),
        ([], [], "BGR", "--input-mean wants three numbers"),
        (HALF[:2], HALF, None, "got 2"),
        ([0.5] * 3, [0.5] * 3, None, "units of 0..255"),
        (HALF, [1.0, 0.0, 1.0], None, "above 0"),
    ):
        with pytest.raises(UsageError, match=words):
            asked(mean, std, order)


def test_a_whole_pickled_module_is_named_and_inspecting_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    import torch

    from benchmark.cli import app
    from benchmark.shell import perform

    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)), tmp_path / "model.pth")
    assert perform(app, ["inspect", str(tmp_path / "model.pth")]) == 1
    assert "is a whole pickled module. Save its tensors alone: torch.save(model.state_dict()" in capsys.readouterr().out
