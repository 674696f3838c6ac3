"""A certificate is checked again: it holds, or a sentence says what does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark import convert
from benchmark.certificate import Certificate
from benchmark.cli import app
from benchmark.inspection import inspect
from benchmark.recheck import recheck
from benchmark.restated import statements
from benchmark.shell import perform
from pretrain import checkpoint
from pretrain.errors import DensebenchError

Make = Callable[[str], dict[str, Tensor]]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, trained_looking: Make) -> convert.Backbone:
    path = tmp_path_factory.mktemp("ours") / "ours.safetensors"
    trunk = {name: one for name, one in trained_looking("resnet18").items() if not name.startswith("fc.")}
    inputs = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "channel_order": "BGR"}
    meta = checkpoint.Meta("resnet18", "densecl", "scenes", "x", 3.0, 5, **inputs)
    checkpoint.save(path, trunk, meta)
    return convert.require(convert.convert(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_converted_file_holds_and_keeps_what_is_known_of_it(
    tmp_path: Path, backbone: convert.Backbone, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"converted{suffix}"
    convert.write(backbone, path)
    found = recheck(path)
    assert (found.certificate, found.tensors) == (backbone.certificate, 120)
    again = convert.require(convert.convert(path))
    assert (again.mean, again.std, again.channel_order) == ((1, 2, 3), (4, 5, 6), "BGR")
    assert (again.meta["method"], again.meta["epochs"], again.meta["seed"]) == ("densecl", 3.0, 5)
    assert inspect(path).meta["method"] == "densecl"
    assert perform(app, ["certificate", str(path)]) == 0
    assert "holds: " in capsys.readouterr().out


def refused(path: Path, because: str) -> None:
    with pytest.raises(DensebenchError, match=because) as caught:
        recheck(path)
    assert str(path) in caught.value.message
    assert perform(app, ["certificate", str(path)]) == 1


def test_other_tensors_under_the_certificate(tmp_path: Path, backbone: convert.Backbone) -> None:
    path = tmp_path / "a.safetensors"
    convert.write(backbone, path)
    tensors = load_file(path)
    tensors["layer3.0.bn1.bias"][7] += 1e-6
    save_file(tensors, path, statements(backbone))
    refused(path, "Its tensors have the digest")
    del tensors["layer3.0.bn1.bias"]
    save_file(tensors, path, statements(backbone))
    refused(path, "has 119 tensors, and 120 were certified")


def test_a_certificate_whose_text_was_changed(tmp_path: Path, backbone: convert.Backbone) -> None:
    entries = statements(backbone)
    for name, old, new in (("certificate", "resnet18", "resnet34"), ("input", "BGR", "RGB"), ("input", "1.0", "0.0")):
        save_file(backbone.state, tmp_path / "a.safetensors", {**entries, name: entries[name].replace(old, new)})
        refused(tmp_path / "a.safetensors", "certificate that cannot be read: its text does not have its sha256")
        with pytest.raises(DensebenchError, match="does not have its sha256"):
            convert.convert(tmp_path / "a.safetensors")


def test_files_without_one(tmp_path: Path, backbone: convert.Backbone) -> None:
    torch.save(backbone.state, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "carries no certificate")
    (tmp_path / "a.json").write_text("{}")
    refused(tmp_path / "a.json", "is not a record: it has no entry 'certificate'")
    (tmp_path / "a.json").write_text('{"certificate": null}')
    refused(tmp_path / "a.json", "a record without a certificate")
    (tmp_path / "a.json").write_text('{"certificate": {"ok": true}}')
    refused(tmp_path / "a.json", "a certificate that cannot be read")
    refused(tmp_path / "absent.json", "There is no file")


def record(path: Path, held: Certificate, **changes: Any) -> Path:
    fields = {"weights": held.digest, "arch": held.arch, "certificate": held.to_dict()}
    path.write_text(json.dumps({**fields, **changes}))
    return path


ROW = {"weights": "own", "stage": "C3", "max_abs": 1.0, "max_rel": 2e-5}


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"missing": ["conv1.weight"]}, "lists 1 tensors as missing"),
        ({"leftover": ["a", "b"]}, "lists 2 tensors as leftover"),
        ({"reasons": ["It is wrong."]}, "was refused: It is wrong"),
        ({"untrained": True}, "untrained, and nobody allowed"),
        ({"threshold": 1.0}, "threshold is 1;"),
        ({"parity": []}, "does not compare the feature maps"),
        ({"parity": [ROW, {**ROW, "weights": "probe"}]}, "differ by more than 1e-05: C3, C3"),
        ({"parity": [{**ROW, "max_rel": float("nan")}, {**ROW, "weights": "probe", "max_rel": 0}]}, "differ by more"),
        ({"digest": "abc"}, "digest is none"),
        ({"arch": "resnet19"}, "architecture is not served"),
    ],
)
def test_records(tmp_path: Path, backbone: convert.Backbone, change: dict[str, Any], because: str) -> None:
    assert recheck(record(tmp_path / "a.json", backbone.certificate)).tensors == 0
    refused(record(tmp_path / "a.json", dataclasses.replace(backbone.certificate, **change)), because)


def test_records_that_contradict_their_certificate(tmp_path: Path, backbone: convert.Backbone) -> None:
    refused(record(tmp_path / "a.json", backbone.certificate, weights="0" * 64), "has the weights 0+, and")
    path = record(tmp_path / "a.json", backbone.certificate)
    path.write_text(path.read_text().replace('"ok": true', '"ok": false'))
    refused(path, "contradict each other")


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"digest": None}, "its field digest is None, expected str"),
        ({"parity": None}, "its field parity is "),
        ({"parity": [{**ROW, "max_rel": None}]}, "its field parity is "),
        ({"parity": [{"stage": "C2"}]}, "its field parity is "),
        ({"notes": "abc"}, "its field notes is "),
        ({"reasons": [1]}, "its field reasons is "),
        ({"untrained": "no"}, "its field untrained is 'no', expected bool"),
        ({"target": "detectron2"}, "its field target is "),
        ({"threshold": "1"}, "its field threshold is '1', expected float"),
        ({"later": 1}, "another version of densebench wrote it, with the fields later"),
    ],
)
def test_certificates_of_another_kind(
    tmp_path: Path, backbone: convert.Backbone, change: dict[str, Any], because: str
) -> None:
    """What another version or another hand wrote is told in a sentence, too."""
    values = {**backbone.certificate.to_dict(), **change}
    refused(record(tmp_path / "a.json", backbone.certificate, certificate=values), because)


def test_what_is_no_certificate_at_all(tmp_path: Path, backbone: convert.Backbone) -> None:
    values = backbone.certificate.to_dict()
    refused(record(tmp_path / "a.json", backbone.certificate, certificate=[values]), "it is a list, not an object")
    del values["filled"]
    refused(record(tmp_path / "a.json", backbone.certificate, certificate=values), "it has no filled")


def test_the_published_records_hold() -> None:
    paths = sorted((Path(__file__).parents[2] / "results" / "records").glob("*.json"))
    assert paths
    for path in paths:
        if json.loads(path.read_text())["certificate"] is not None:
            recheck(path)
