"""Exports that are refused: where nothing may be written, and what a target cannot compute."""

from __future__ import annotations

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from exports import OUT, Make, ours
from torch import Tensor

from benchmark import cli, convert, options, outlet
from benchmark.certify import TARGETS
from benchmark.export import export
from benchmark.shell import perform
from pretrain.errors import DensebenchError, UsageError


def test_the_command_line_names_every_target() -> None:
    assert set(typing.get_args(options.Target)) == {*TARGETS, *outlet.names()}
    assert set(OUT) == set(outlet.names())


@pytest.mark.parametrize(("to", "name"), [("timm", "a.pth"), ("detectron2", "a.pth"), ("hf-safetensors", "a.pth")])
def test_another_suffix_is_refused_before_anything_is_read(tmp_path: Path, to: str, name: str) -> None:
    with pytest.raises(UsageError, match=r"a\.pth should"):
        export(tmp_path / "not there", to, tmp_path / name)
    with pytest.raises(UsageError, match="no target 'tim'"):
        export(tmp_path / "not there", "tim", tmp_path / name)


def same(folder: Path, kind: str, source: Path) -> Path:
    """Another way to name a checkpoint."""
    if kind == "spelling":
        return source.parent / "." / ".." / source.parent.name / source.name
    link = folder / f"link{source.suffix}"
    if kind == "link":
        link.symlink_to(source)
    else:
        link.hardlink_to(source)
    return link


@pytest.mark.parametrize("kind", ["spelling", "link", "hard link"])
@pytest.mark.parametrize("to", ["mmdet", "mmseg", "timm"])
def test_the_checkpoint_itself_is_not_written_over(
    tmp_path: Path, to: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "ours.safetensors"
    source.write_bytes(b"not read")
    out = same(tmp_path, kind, source)
    assert perform(cli.app, ["convert", str(source), "--to", to, "--out", str(out)]) == 2
    assert "is the checkpoint that is read" in capsys.readouterr().err
    assert source.read_bytes() == b"not read"


def test_a_folder_of_the_hub_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(UsageError, match="is the checkpoint that is read"):
            export(source, "hf-safetensors", tmp_path)
    with pytest.raises(UsageError, match="is the checkpoint that is read"):
        export(tmp_path, "timm", tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("a.pkl", "should end in .pth or .safetensors"),
        ("none", "should end in .pth"),
        ("folder.pth", "is a folder; a file was expected"),
        ("notes.txt/sub/a.pth", "notes.txt is a file, not a folder"),
    ],
)
@pytest.mark.parametrize("to", ["mmdet", "mmseg", "torchvision"])
def test_what_cannot_be_written_is_refused_at_once(
    tmp_path: Path, to: str, out: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "notes.txt").write_text("some")
    assert perform(cli.app, ["convert", str(tmp_path / "not there"), "--to", to, "--out", str(tmp_path / out)]) == 2
    assert why.partition(" or ")[0] in capsys.readouterr().err


def test_a_refusal_shows_the_certificate_and_names_the_target(
    tmp_path: Path, trained_looking: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    path, trunk = ours(tmp_path, trained_looking)
    del trunk["bn1.bias"]
    torch.save(trunk, path.with_suffix(".pth"))
    command = ["convert", str(path.with_suffix(".pth")), "--to", "hf-safetensors", "--out", str(tmp_path / "hf")]
    assert perform(cli.app, command) == 1
    shown = capsys.readouterr()
    assert "NOT CERTIFIED: torchvision resnet18" in shown.out and "bn1.bias" in shown.out
    assert "is not certified for hf-safetensors" in shown.err
    assert not (tmp_path / "hf").exists()


def test_a_target_that_exchanges_two_layers_is_found_out(
    tmp_path: Path, trained_looking: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = ours(tmp_path, trained_looking)
    names = {"layer1.0.conv1.weight": "layer1.0.conv2.weight", "layer1.0.conv2.weight": "layer1.0.conv1.weight"}
    straight = outlet.named

    def swapped(trunk: Any, wanted: Any, rename: Callable[[str], str]) -> dict[str, Tensor]:
        return straight(trunk, wanted, lambda name: names.get(rename(name), rename(name)))

    monkeypatch.setattr(outlet.load("timm"), "named", swapped)
    (tmp_path / "out.safetensors").write_text("what stood there")
    with pytest.raises(DensebenchError, match="read back as another network"):
        export(path, "timm", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_text() == "what stood there"
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "out.safetensors"}


def test_what_a_target_cannot_compute_is_refused(
    tmp_path: Path, trained_looking: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    path, _ = ours(tmp_path, trained_looking)
    padded = dataclasses.replace(convert.convert(path), traits={"padding": "same"})
    monkeypatch.setattr(convert, "convert", lambda *_, **__: padded)
    with pytest.raises(DensebenchError, match="torchvision has no resnet18 with padding: same"):
        export(path, "torchvision", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    other = dataclasses.replace(padded, arch="resnet269", traits={})
    monkeypatch.setattr(convert, "convert", lambda *_, **__: other)
    for to, name in OUT.items():
        with pytest.raises(DensebenchError, match="resnet269"):
            export(path, to, tmp_path / name)
