"""tools/fuzz_intake: damaged files of every format are refused or are certified for what they hold."""

import dataclasses
import importlib
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import torch

from benchmark import backbones, certify
from benchmark.backbones import vit
from benchmark.prefixed import Naming

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NAMES = ("__main__", "case", "containers", "damage", "formats", "networks")


@pytest.fixture(scope="module")
def fuzz():
    """The script's modules."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield SimpleNamespace(**{name.strip("_"): importlib.import_module(f"fuzz_intake.{name}") for name in NAMES})


@pytest.mark.parametrize("start", range(0, 300, 25))
def test_no_damage_is_ever_certified(fuzz, start):
    outcomes = [fuzz.case.case(7, number).outcome for number in range(start, start + 25)]
    assert [outcome for outcome in outcomes if outcome.startswith(fuzz.case.VIOLATION)] == []
    assert [outcome for outcome in outcomes if "refused: ?" in outcome] == []
    assert any(outcome.startswith("certified") for outcome in outcomes)
    assert any(outcome.startswith("refused") for outcome in outcomes)


def damaged(fuzz, folder, arch, kind, damage, seed=3):
    random = Random(seed)
    made = fuzz.formats.build(arch, random, kind)
    trap = folder / "it-ran"
    getattr(fuzz.damage, damage)(made, random, str(trap))
    return made, fuzz.containers.write(made, folder, random), trap


def every_kind():
    vits = ["plain", "timm", "timm_trainer", "densebench", "dino", "dino_teacher", "lightning", "general"]
    resnets = ["moco", "pixpro", "vicreg", "vissl", "solo_learn", "mmselfsup", "detectron2"]
    vits += ["mae", "droppos"]
    return [("vit_tiny_patch16", kind) for kind in vits] + [("resnet18", kind) for kind in resnets]


@pytest.mark.parametrize(("arch", "kind"), every_kind())
def test_clean_files_of_every_kind_are_certified(fuzz, tmp_path, arch, kind):
    assert fuzz.case.judged(*damaged(fuzz, tmp_path, arch, kind, "clean")) == fuzz.case.UNTOUCHED


def test_every_kind_is_tested(fuzz):
    for arch in fuzz.networks.SMALL:
        assert set(fuzz.formats.kinds(arch)) <= {kind for _, kind in every_kind()}


# ---- the script must be able to fail


def test_a_reader_that_takes_the_other_network_is_found(fuzz, tmp_path, monkeypatch):
    """Without this rule, MoCo's key encoder stands in for a damaged query."""
    case = damaged(fuzz, tmp_path, "resnet18", "moco", "drop_first")
    assert fuzz.case.judged(*case) == "refused: which network?"
    monkeypatch.setattr(Naming, "_hold_to_the_order", lambda *_: None)
    with pytest.raises(AssertionError, match="it is not the network of the file"):
        fuzz.case.judged(*case)


def test_a_reader_that_runs_code_is_found(fuzz, tmp_path, monkeypatch):
    made, path, trap = damaged(fuzz, tmp_path, "resnet18", "vicreg", "hostile")
    fuzz.case.judged(made, path, trap)
    inert = fuzz.case.inspect

    def careless(path):
        torch.load(path, weights_only=False)
        return inert(path)

    monkeypatch.setattr(fuzz.case, "inspect", careless)
    with pytest.raises(AssertionError, match="code of the file was run"):
        fuzz.case.judged(made, path, trap)


@pytest.mark.parametrize("arch", ["resnet18", "vit_tiny_patch16"])
def test_a_proof_that_is_skipped_and_a_swap_are_found(fuzz, tmp_path, monkeypatch, arch):
    """The judge sees by itself that two layers have changed places, or that a number is another."""
    case = damaged(fuzz, tmp_path, arch, "plain", "clean")
    straight = certify._rename
    pairs = {
        "resnet18": ("layer1.0.conv1.weight", "layer1.0.conv2.weight"),
        "vit_tiny_patch16": ("layers.0.attn.qkv.weight", "layers.7.attn.qkv.weight"),
    }

    def swapped(tensors, family):
        state, collisions = straight(tensors, family)
        one, other = pairs[arch]
        return {**state, one: state[other], other: state[one]}, collisions

    def nudged(tensors, family):
        state, collisions = straight(tensors, family)
        name = pairs[arch][0]
        return {**state, name: state[name] * (1 + 1e-6)}, collisions

    monkeypatch.setattr(certify.parity, "failures", lambda rows: [])
    for wrong in (swapped, nudged):
        monkeypatch.setattr(certify, "_rename", wrong)
        with pytest.raises(AssertionError, match="it is not the network of the file"):
            fuzz.case.judged(*case)


def test_a_traceback_is_a_violation(fuzz, monkeypatch):
    damaged = dataclasses.replace(vit.FAMILY, identify=lambda tensors: 1 / 0)
    families = (damaged, *backbones._families())
    monkeypatch.setattr(backbones, "_families", lambda: families)
    outcomes = [fuzz.case.case(7, number, ("vit_tiny_patch16",)).outcome for number in range(3)]
    assert any("VIOLATION: ZeroDivisionError at" in outcome for outcome in outcomes)


def test_a_log_is_continued(fuzz, tmp_path, monkeypatch, capsys):
    log, ran = tmp_path / "fuzz.jsonl", []

    def case(seed, number, archs):
        ran.append(number)
        outcome = f"{fuzz.case.VIOLATION}: made up" if number == 4 else "refused: missing"
        return fuzz.case.Result(number, archs[0], "moco", "drop", outcome)

    monkeypatch.setattr(fuzz.main, "case", case)
    for cases, status in ((3, 0), (6, 1)):
        monkeypatch.setattr("sys.argv", ["fuzz_intake", "--cases", str(cases), "--log", str(log)])
        assert fuzz.main.main() == status
    assert ran == list(range(6))
    assert "| drop | 1 | 5 | 6 |" in capsys.readouterr().out
    logged = fuzz.main._logged(log, {"seed": 0, "full_size": False})
    assert [result.number for result in logged.values()] == ran
    assert dataclasses.asdict(logged[0])["damage"] == "drop"


def test_a_log_holds_cases_of_several_seeds_apart(fuzz, tmp_path, monkeypatch, capsys):
    done = []

    def case(seed, number, archs):
        done.append((seed, number))
        return fuzz.case.Result(number, archs[0], "timm", "clean", fuzz.case.UNTOUCHED)

    monkeypatch.setattr(fuzz.main, "case", case)
    log = tmp_path / "log.jsonl"
    for seed in (1, 1, 2):
        monkeypatch.setattr(sys, "argv", ["fuzz_intake", "--cases=3", f"--seed={seed}", f"--log={log}"])
        assert fuzz.main.main() == 0
        assert f"3 cases of resnet18, vit_tiny_patch16, seed {seed}: 0 violations" in capsys.readouterr().out
        with log.open("a") as torn:
            torn.write('\n{"seed": ')
    assert done == [(seed, number) for seed in (1, 2) for number in range(3)]
