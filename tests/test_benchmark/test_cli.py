"""The command line: exit statuses, one sentence for each error, closest names, fast starts."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from benchmark.cli import app
from benchmark.shell import key_values, literal, perform, spread
from pretrain.errors import DensebenchError, UsageError, unknown

ROOT = Path(__file__).resolve().parents[2]
PRETRAIN = ("pretrain", "densecl", "--images", "x", "--recipe", "scenes", "--out", "y")
RUN = ("run", "voc_det_c4_24k", "--checkpoint", "random", "--data-root", "x")


def call(*arguments: str) -> int:
    return perform(app, list(arguments))


def program(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["pretrian", "densecl"], "'pretrain'"),
        (["ls", "metods"], "'methods'"),
        (["data", "chekc"], "'check'"),
        (["demo", "--methods", "densecll"], "'densecl'"),
        (["demo", "--tasks", "voc_det_c4_24k.dmo"], "'voc_det_c4_24k.demo'"),
        (["reproduce", "densecl_voc_dett"], "'densecl_voc_det'"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_closest(typed, meant, capsys):
    assert call(*typed) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Did you mean {meant}?" in captured.err
    assert "Choices:" in captured.err


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["convert", "x", "--to", "mmdt", "--out", "y"], "'mmdt' is not one of 'mmdet', 'mmseg', 'detectron2'"),
        (["run", "voc_det_c4_24k", "--chekpoint", "x"], "--checkpoint"),
        (["run", "voc_det_c4_24k"], "Missing option"),
        (["ls"], "Missing argument"),
        (["ls", "methods", "more"], "unexpected extra argument"),
        (["demo", "--seeds", "one"], "--seeds"),
        (["demo", "--seeds"], "--seeds"),
        ([*PRETRAIN, "--seed", "-1"], "'--seed': -1 is not in the range"),
        ([*PRETRAIN, "--seed", "99999999999999999999999"], "'--seed'"),
        ([*PRETRAIN, "--workers", "-2"], "'--workers': -2 is not in the range"),
        ([*RUN, "--seeds", "-1"], "'--seeds': -1 is not in the range"),
        ([*RUN, "--seeds", "0", "4294967296"], "'--seeds'"),
        ([*RUN, "--workers", "-2"], "'--workers'"),
        (["data", "scenes", "x", "--workers", "0"], "'--workers': 0 is not in the range"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(typed, says, capsys):
    assert call(*typed) == 2
    lines = capsys.readouterr().err.splitlines()
    assert says in lines[0]
    assert lines[0].startswith("densebench: ")
    assert len(lines) == 2
    assert "--help" in lines[1]


@pytest.mark.parametrize(
    ("typed", "verb"),
    [([*PRETRAIN, "--set"], "pretrain"), (["data", "scenes", "x", "--workers"], "data scenes")],
)
def test_an_option_without_its_value_points_to_the_help_of_its_verb(typed, verb, capsys):
    assert call(*typed) == 2
    assert capsys.readouterr().err.splitlines()[1] == f"Try 'densebench {verb} --help'."


@pytest.mark.parametrize("typed", [["inspect", ""], ["data", "scenes", ""], ["data", "check", "--data-root="]])
def test_an_empty_argument_does_not_stand_for_the_folder_one_is_in(typed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(*typed) == 2
    assert "Is a variable of the shell empty?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_verb_prints_the_help_only(capsys):
    assert call() == 2
    captured = capsys.readouterr()
    assert "pretrain" in captured.out + captured.err
    assert "densebench: " not in captured.err


def raising(error: BaseException) -> typer.Typer:
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command()
    def verb(debug: bool = False) -> None:
        raise error

    return broken


def test_an_error_says_what_and_how_to_mend_it(capsys):
    assert perform(raising(DensebenchError("The file x is not there.", "Make it.")), []) == 1
    assert capsys.readouterr().err == "densebench: The file x is not there.\nMake it.\n"


def test_wrong_usage_found_by_a_verb_has_status_2(capsys):
    assert perform(raising(UsageError("There is no such task.")), []) == 2
    assert capsys.readouterr().err == "densebench: There is no such task.\n"


def test_an_interruption_says_that_the_state_is_kept(capsys):
    assert perform(raising(KeyboardInterrupt()), []) == 130
    assert "kept" in capsys.readouterr().err


def test_an_interruption_that_a_library_reports_as_an_error_has_its_status_too(capsys):
    interrupted = DensebenchError("Interrupted after 3 steps.")
    interrupted.__context__ = KeyboardInterrupt()
    app_ = typer.Typer(pretty_exceptions_enable=False)

    @app_.command()
    def verb() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise DensebenchError("Interrupted after 3 steps.") from None

    assert perform(app_, []) == 130
    assert "Interrupted after 3 steps." in capsys.readouterr().err


def test_an_unforeseen_error_is_one_sentence_unless_debug(capsys, monkeypatch):
    assert perform(raising(ZeroDivisionError("by\nzero")), []) == 1
    error = capsys.readouterr().err
    assert error.startswith("densebench: ZeroDivisionError: by zero\n")
    assert "--debug" in error
    with pytest.raises(ZeroDivisionError):
        perform(raising(ZeroDivisionError()), ["--debug"])
    monkeypatch.setenv("DENSEBENCH_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        perform(raising(ZeroDivisionError()), [])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--seeds", "0", "1", "2"], ["--seeds", "0", "--seeds", "1", "--seeds", "2"]),
        (["--seeds", "0,1"], ["--seeds", "0", "--seeds", "1"]),
        (["--seeds", "3", "voc_det"], ["--seeds", "3", "voc_det"]),
        (["--seeds", "0", "1", "--force"], ["--seeds", "0", "--seeds", "1", "--force"]),
        (["--set", "a=1", "b.c=x,y", "t"], ["--set", "a=1", "--set", "b.c=x,y", "t"]),
        (["run", "a", "b", "--seeds", "0"], ["run", "a", "b", "--seeds", "0"]),
        (
            ["--methods", "random", "densecl", "--quick"],
            ["--methods", "random", "--methods", "densecl", "--quick"],
        ),
        (["--seeds", "0", "--set"], ["--seeds", "0", "--set"]),
        (["--seeds", "--force"], ["--seeds", "--force"]),
        (["--records", "a", "b,c"], ["--records", "a", "--records", "b,c"]),
        (["--source", "a", "b", "--cells", "3"], ["--source", "a", "--source", "b", "--cells", "3"]),
        (["--input-std", "1.5", ".5", "x"], ["--input-std", "1.5", "--input-std", ".5", "x"]),
    ],
)
def test_several_values_may_follow_an_option(typed, meant):
    assert spread(typed) == meant


def test_settings_are_read_as_python_writes_them():
    assert key_values(["lr=0.1", "name=a=b"]) == {"lr": "0.1", "name": "a=b"}
    assert [literal(text) for text in ("0.1", "(1, 2)", "None", "bfloat16")] == [
        0.1,
        (1, 2),
        None,
        "bfloat16",
    ]
    with pytest.raises(UsageError, match="KEY=VALUE"):
        key_values(["lr"])


def test_listings_are_the_folders(capsys):
    assert call("ls", "methods") == 0
    heading, *listed = capsys.readouterr().out.splitlines()
    folder = ROOT / "pretrain" / "methods"
    there = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert [line.split()[0] for line in listed] == there
    assert heading.split() == ["name", "authors", "year", "arxiv", "families", "recipes", "cost"]
    (densecl,) = (line for line in listed if line.startswith("densecl "))
    for fact in ("Wang", "2021", "2011.09157", "resnet", "student 1 view, teacher 1", "imagenet-200e, coco-800e"):
        assert fact in densecl
    assert call("ls", "methods", "--json") == 0
    described = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(described) == there
    assert described["densecl"]["recipes"][:2] == ["imagenet-200e", "coco-800e"]
    assert described["dino"]["families"][0] == "vit"
    assert call("ls", "tasks", "--json") == 0
    tasks = [one["name"] for one in json.loads(capsys.readouterr().out)]
    assert {"voc_det_c4_24k", "voc_det_c4_24k.small", "voc_det_c4_24k.demo"} <= set(tasks)
    for kind in ("archs", "formats", "tables"):
        assert call("ls", kind) == 0
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ls", "methods"], ["ls", "archs"], ["ls", "tasks"], ["ls", "formats"], ["ls", "tables"]]
)
def test_help_and_listings_need_neither_torch_nor_mm(arguments):
    heavy = ("torch", "mmengine", "mmcv", "mmdet", "mmseg", "timm", "numpy", "pandas")
    code = (
        "import sys\n"
        f"for name in {heavy}: sys.modules[name] = None\n"  # importing one of them now raises ImportError
        "from benchmark.cli import app\nfrom benchmark.shell import perform\n"
        f"sys.exit(perform(app, {arguments}))"
    )
    done = program(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_reader_that_closes_the_pipe_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m benchmark ls tasks | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"for i in 1 2 3; do {command}; done"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3


def test_a_closed_output_is_no_traceback():
    code = (
        "import os, sys\n"
        "reader, writer = os.pipe()\nos.close(reader)\nos.dup2(writer, 1)\n"
        "from benchmark.cli import app\nfrom benchmark.shell import perform\n"
        "status = perform(app, ['ls', 'tasks'])\nsys.exit(status)"
    )
    done = program(code)
    assert done.stderr == ""
    assert done.returncode == 1


def test_a_missing_package_is_told_with_its_mend(capsys):
    assert perform(raising(ModuleNotFoundError("No module named 'torch'", name="torch")), []) == 1
    assert capsys.readouterr().err.splitlines()[0].endswith("needs the package torch, which is not installed here.")


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "lss"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 2
    assert "Did you mean 'ls'?" in done.stderr


def test_a_long_list_of_choices_is_cut_to_the_closest():
    error = unknown("setting", "scheduel.lr", [f"model.part{i}" for i in range(60)] + ["schedule.lr"])
    assert error.mend.startswith("Did you mean 'schedule.lr'?")
    assert len(error.mend) < 300
    assert "more" in error.mend
    assert "more" not in unknown("method", "moco", ["moco_v2", "densecl"]).mend
