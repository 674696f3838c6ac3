"""Between the shell and the verbs: signals, torchrun's processes, --debug, the width of the terminal."""

import json
import os
import signal
import sys
import time

import pytest
import typer

from benchmark import listing, shell, task
from benchmark.cli import app
from benchmark.listing import lines
from benchmark.result import write
from benchmark.shell import perform
from pretrain.errors import DensebenchError
from pretrain.pace import Pace


def only(verb):
    app_ = typer.Typer(pretty_exceptions_enable=False)
    app_.command()(verb)
    return app_


def test_sigterm_interrupts_as_ctrl_c_does(capsys):
    def verb() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    assert perform(only(verb), []) == 130
    assert "The same command continues" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_may_stand_anywhere(place, capsys):
    typed = ["ls", "formats"]
    typed.insert(place, "--debug")
    assert perform(app, typed) == 0
    assert "timm" in capsys.readouterr().out


def test_of_torchruns_processes_the_first_speaks_at_once(monkeypatch, capsys):
    def verb() -> None:
        raise DensebenchError("It failed.")

    waited = []
    monkeypatch.setattr(shell.time, "sleep", waited.append)
    monkeypatch.setenv("RANK", "1")
    assert perform(only(verb), []) == 1  # without torchrun it says nothing
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert perform(only(verb), []) == 1
    monkeypatch.setenv("RANK", "0")
    assert perform(only(verb), []) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["densebench: It failed.", "densebench: process 1: It failed.", "densebench: It failed."]
    assert waited == [shell.WAIT_SECONDS]


def test_a_misspelt_method_is_told_before_torch_is_imported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "pretrain.train", None)
    rest = ["--images", "x", "--out", "y", "--recipe"]
    assert perform(app, ["pretrain", "dencecl", *rest, "scenes"]) == 2
    assert perform(app, ["pretrain", "densecl", *rest, "scene"]) == 2
    said = capsys.readouterr().err
    assert "Did you mean 'densecl'?" in said and "Did you mean 'scenes'?" in said


@pytest.mark.parametrize("verb", ["run", "pretrain", "masks", "convert", "table", "demo"])
def test_help_shows_every_option_whole_at_80_columns(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    assert perform(app, [verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said and "--no-" not in said


@pytest.mark.parametrize("kind", ["methods", "tasks"])
def test_a_listing_keeps_within_the_terminal(kind):
    whole, narrow = lines(kind), lines(kind, 80)
    assert max(map(len, whole)) > 80 and max(map(len, narrow)) <= 80
    assert len(narrow) == len(whole) + 1 and "--json" in narrow[-1]


def test_tasks_and_tables_are_described(capsys):
    for name, told in zip(task.names(), listing.describe("tasks"), strict=True):
        loaded = task.load(name)
        schedule = loaded.protocol["schedule"]
        assert (told["name"], told["data"], told["kind"]) == (name, loaded.data, loaded.kind)
        assert (told["batch"], told["iterations"]) == (schedule["batch_size"], schedule["iterations"])
        assert (told["modes"], told["paper"]) == (loaded.modes, loaded.protocol["benchmark"]["paper"])
    assert perform(app, ["ls", "tables", "--json"]) == 0
    tables = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert (tables["densecl_voc_det"]["runnable"], tables["densecl_voc_det"]["cells"]) == (30, 30)
    assert tables["densecl_adelaidet"]["runnable"] == 0 < tables["densecl_adelaidet"]["cells"]


def test_a_table_of_some_tasks_and_modes(make_record, tmp_path, capsys, monkeypatch):
    for one, mode in (("voc_det_c4_24k", "finetune"), ("voc_seg_fcn_d8_20k", "linear"), ("nyu_depth_byol", "frozen")):
        write(make_record(task=one, mode=mode, protocol={"task": one}), tmp_path)
    table = ["table", "--records", str(tmp_path)]
    assert perform(app, [*table, "--tasks", "voc", "nyu", "--modes", "linear", "frozen"]) == 0
    said = capsys.readouterr().out
    assert "voc_seg" in said and "nyu" in said and "voc_det" not in said
    assert perform(app, [*table, "--tasks", "vok"]) == 2
    assert "no record of the task 'vok'" in capsys.readouterr().err
    monkeypatch.setattr("benchmark.cli_tables.terminal_width", lambda: 70)
    assert perform(app, table) == 0
    said = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 70 for line in said if line.startswith("|"))
    assert [line for line in said if line in task.names()] == ["nyu_depth_byol", "voc_det_c4_24k", "voc_seg_fcn_d8_20k"]


def test_lines_come_often_at_first_and_then_once_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("pretrain.pace.time.monotonic", lambda: now[0])
    pace, told = Pace(15.0), []
    for now[0] in range(1, 1200):
        if pace.due():
            told.append(now[0])
    assert told[:3] == [15, 30, 45]
    assert told[-1] - told[-2] == 60 and len(told) in range(48, 51)
