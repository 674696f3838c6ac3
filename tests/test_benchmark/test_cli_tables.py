"""The verbs of tables on the command line: which records they read, and what they print."""

import pytest

from benchmark.cli import app
from benchmark.result import write
from benchmark.shell import perform


def call(*arguments: str) -> int:
    return perform(app, list(arguments))


def test_a_table_without_records_says_so(tmp_path, capsys):
    assert call("table", "--records", str(tmp_path)) == 0
    assert str(tmp_path) in capsys.readouterr().err


def test_paths_with_spaces(tmp_path, capsys):
    empty = tmp_path / "my records"
    empty.mkdir()
    assert call("table", "--records", str(empty), "--format", "csv") == 0
    assert capsys.readouterr().out.startswith("method,arch,checkpoint,task")
    assert call("inspect", str(tmp_path / "no such file.pth")) == 1
    assert "no such file.pth" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [("table",), ("reproduce", "densecl_voc_det")])
def test_records_that_do_not_exist_are_wrong_usage(tmp_path, capsys, verb):
    assert call(*verb, "--records", str(tmp_path / "missing")) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "missing: it does not exist" in captured.err


def test_one_record_is_a_table_and_two_protocols_are_compared(make_record, tmp_path, capsys):
    records = [make_record(), make_record(protocol={"lr": 0.02})]
    paths = [str(write(record, tmp_path)) for record in records]
    assert call("table", "--records", paths[0], "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    fingerprints = [record.fingerprint for record in records]
    assert call("table", "--records", str(tmp_path), "--compare", *fingerprints) == 0
    assert capsys.readouterr().out == "lr: 0.01 against 0.02\n"
    assert call("table", "--records", str(tmp_path), "--compare", fingerprints[0]) == 2
    (tmp_path / "notes.txt").write_text("hello")
    assert call("table", "--records", str(tmp_path / "notes.txt")) == 1
    assert "notes.txt" in capsys.readouterr().err


def test_a_plan_stands_below_its_table(tmp_path, capsys):
    assert call("reproduce", "byol_nyu_depth", "--plan", "--records", str(tmp_path)) == 0
    table, commands = capsys.readouterr().out.split("\n\ndensebench ", 1)
    assert table.startswith("| task") and "run nyu_depth_byol" in commands
