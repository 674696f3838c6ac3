"""tools/fuzz_intake.py: damaged files of every format are refused or are certified for what they hold."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from benchmark.prefixed import Naming

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fuzz_intake.py"


@pytest.fixture(scope="module")
def fuzz():
    """The script as a module; pickled classes are looked up in it by its name."""
    specification = importlib.util.spec_from_file_location("fuzz_intake", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["fuzz_intake"] = module
    torch.set_num_threads(1)
    specification.loader.exec_module(module)
    yield module
    del sys.modules["fuzz_intake"]


@pytest.mark.parametrize("start", range(0, 300, 25))
def test_no_damage_is_ever_certified(fuzz, start):
    outcomes = [fuzz.case(7, number) for number in range(start, start + 25)]
    assert [outcome for outcome in outcomes if outcome[2].startswith("VIOLATION")] == []
    assert not [outcome for outcome in outcomes if "?" in outcome[2].replace("which network?", "")]
    assert any(outcome[2].startswith("certified") for outcome in outcomes)
    assert any(outcome[2].startswith("refused") for outcome in outcomes)


def made(fuzz, folder, kind, damage):
    fuzz.RANDOM.seed(3)
    fuzz.TRAP[0] = str(folder / "it-ran")
    one = fuzz.build_kind(kind, "resnet18", fuzz.network("resnet18", 1), fuzz.network("resnet18", 2))
    damage(one)
    return one, fuzz.write(one, folder)


def test_a_reader_that_takes_the_other_network_is_found(fuzz, tmp_path, monkeypatch):
    """The script must be able to fail: without this rule, MoCo's key encoder stands in for a damaged query."""
    case = made(fuzz, tmp_path, "moco", fuzz.drop_first)
    assert fuzz.judge(*case) == "refused: which network?"
    monkeypatch.setattr(Naming, "_hold_to_the_order", lambda *_: None)
    with pytest.raises(AssertionError, match="it is not the network of the file"):
        fuzz.judge(*case)


def test_a_reader_that_runs_code_is_found(fuzz, tmp_path, monkeypatch):
    case = made(fuzz, tmp_path, "vicreg", fuzz.hostile)
    fuzz.judge(*case)
    monkeypatch.setattr(fuzz, "inspect", lambda path: torch.load(path, weights_only=False) or fuzz.inspect)
    with pytest.raises((AssertionError, AttributeError)):
        fuzz.judge(*case)
    assert Path(fuzz.TRAP[0]).exists()
