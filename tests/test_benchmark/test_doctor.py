"""densebench doctor: what it finds, what it says to do, and its exit status."""

import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark import doctor
from benchmark.cli import app
from benchmark.doctor import Finding
from benchmark.shell import perform


@pytest.fixture
def healthy(monkeypatch):
    """Leave out what takes a process of its own."""
    monkeypatch.setattr(doctor, "_operators", lambda: [Finding("MMCV ops, CPU", "ok", "compiled")])


def test_everything_is_found_here(healthy, tmp_path, capsys):
    assert perform(app, ["doctor", "--data-root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert importlib.metadata.version("torch") in text
    assert "All is well." in text


def test_a_missing_package_fails_and_says_what_to_do(healthy, monkeypatch, tmp_path, capsys):
    known = importlib.metadata.version

    def version(name):
        if name == "onedl-mmcv":
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert perform(app, ["doctor", "--data-root", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("MISSING") and "onedl-mmcv" in line)
    assert "make setup" in lines[place + 1]
    assert lines[-1] == "1 needed thing missing."


def test_another_version_than_what_is_required_is_told(monkeypatch):
    required = {"torch": "==2.13.0", "typer": "<0.29,>=0.12", "numpy": "<2.4,>=1.26"}
    found = {"torch": "2.13.0+cpu", "typer": "0.29.2", "numpy": "2.4.0rc1"}
    requirements = [f"{name}{range}; extra == 'run'" for name, range in required.items()]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(importlib.metadata, "version", found.get)
    told = {finding.name: finding for finding in doctor._packages()}
    assert {name: finding.state for name, finding in told.items()} == {"torch": "ok", "typer": "note", "numpy": "note"}
    assert told["typer"].mend == "densebench is tested with typer<0.29,>=0.12: run `make setup` in the clone"


def test_every_package_that_the_metadata_require_is_looked_for():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    required = setup["options"]["install_requires"] + setup["options.extras_require"]["run"]
    names = [finding.name for finding in doctor._packages()]
    assert sorted(names) == sorted(re.match("[a-z-]+", line)[0] for line in required.split())


def test_without_the_metadata_that_is_what_is_missing(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    (finding,) = doctor._packages()
    assert (finding.name, finding.state) == ("densebench", "missing")
    assert "make setup" in finding.mend


def test_operators_that_do_not_work_are_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_OPERATORS", "raise ImportError('no module named mmcv._ext')")
    (finding,) = doctor._operators()
    assert finding.state == "missing"
    assert "mmcv._ext" in finding.found
    assert "uv cache clean onedl-mmcv" in finding.mend


def test_a_base_install_is_told_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    names = [finding.name for finding in doctor.examine(tmp_path)]
    assert "torch" in names
    assert "GPU" not in names
    assert not any(name.startswith("MMCV ops") for name in names)


def test_data_sets_are_found_by_their_folders_and_not_called_verified(tmp_path):
    root = tmp_path / "my data"
    (root / "coco").mkdir(parents=True)
    findings = {finding.name: finding for finding in doctor._data(root)}
    assert {finding.state for finding in findings.values()} == {"note"}
    assert "there, not verified" in findings["coco_det"].found
    assert findings["coco_det"].mend.endswith(f"densebench data check --data-root '{root}'")
    assert "no folder" in findings["voc_det"].found and "docs/data.md" in findings["nyu_depth"].mend
    (finding,) = doctor._data(root / "nowhere")
    assert finding.mend.endswith(f"densebench data scenes '{root / 'nowhere'}'")


def test_a_broken_specification_is_a_finding(tmp_path):
    (tmp_path / "densebench.json").write_text("{}")
    (finding,) = doctor._data(tmp_path)
    assert "densebench.json is not a data specification" in finding.found


def test_a_gpu_without_cuda_operators_is_a_lack(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor, "_OPERATORS", "print('cpu'); raise RuntimeError('nms_impl: CUDA not found')")
    states = {finding.name: finding for finding in doctor._operators()}
    assert states["MMCV ops, CPU"].state == "ok"
    assert states["MMCV ops, CUDA"].state == "missing"
    assert "make clean setup" in states["MMCV ops, CUDA"].mend


@pytest.mark.parametrize(
    ("printed", "torchs", "state", "says"),
    [
        ("cpu untried", "13.0", "ok", "no GPU here"),
        ("cpu", "13.0", "note", "not compiled"),
        ("cpu", None, None, ""),
    ],
)
def test_cuda_operators_are_told_of_without_a_gpu(monkeypatch, printed, torchs, state, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", torchs)
    monkeypatch.setattr(doctor, "_OPERATORS", f"print('{printed}')")
    _, *cuda = doctor._operators()
    assert [finding.state for finding in cuda] == [state] * bool(state)
    assert all(says in finding.found for finding in cuda)
    assert all(("TORCH_CUDA_ARCH_LIST" in finding.mend) == (state == "note") for finding in cuda)


@pytest.mark.parametrize(("version", "prints"), [("13.0", "cpu untried"), ("not available", "cpu")])
def test_the_operators_say_for_what_they_were_compiled(version, prints):
    stub = f"import mmcv.ops; mmcv.ops.get_compiling_cuda_version = lambda: {version!r}\n"
    quiet = "import torch; torch.cuda.is_available = lambda: False\n"
    program = [sys.executable, "-W", "ignore", "-c", quiet + stub + doctor._OPERATORS]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.split() == prints.split()


def test_json(healthy, tmp_path, capsys):
    perform(app, ["doctor", "--json", "--data-root", str(tmp_path)])
    findings = json.loads(capsys.readouterr().out)
    assert {"name", "state", "found", "mend"} == set(findings[0])
