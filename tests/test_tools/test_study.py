"""tools/study.py: what fails does not keep the rest from being done; an early end is a sentence and a status."""

import importlib
import sys
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from pretrain.errors import DensebenchError

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def study():
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("study")


class Here(Executor):
    """Does a job as it is submitted."""

    def __init__(self, *_, **__):
        """Take a pool's arguments."""

    def submit(self, job, *arguments):
        """Do it."""
        future = Future()
        try:
            future.set_result(job(*arguments))
        except BrokenProcessPool as error:
            future.set_exception(error)
        return future


@pytest.fixture
def told(study, monkeypatch, tmp_path):
    """Return what runs the spine's linear part without training anything; its jobs are listed in `told.jobs`."""
    monkeypatch.setattr(study, "pool", Here)
    monkeypatch.setattr(study.scenes, "write", lambda folder, *_: folder)
    monkeypatch.setattr(sys, "argv", ["study.py", "scenes", "--out", str(tmp_path), "--mode", "linear"])

    def main(pretrained=lambda *_: None, measured=lambda *_: None):
        def pretraining(one, images, *rest):
            main.jobs.append(one.named(images))
            pretrained(one, images, *rest)

        def measurement(cell, request, images):
            assert request.name == cell[0].named(images)
            assert request.mode == cell[2] == "linear"
            assert request.overrides == main.overrides
            main.jobs.append((cell[0].named(images), cell[1], cell[3]))
            measured(cell, request, images)

        monkeypatch.setattr(study, "pretrained", pretraining)
        monkeypatch.setattr(study, "measured", measurement)
        return study.main()

    main.jobs, main.overrides = [], {}
    return main


PRETRAINED = ["densecl-scenes-0", "moco_v2-scenes-0", "supervised-scenes-0", "densecl-scenes-1"]


def test_every_row_is_pretrained_once_and_measured_on_every_task_and_seed(study, told):
    assert told() == 0
    assert [job for job in told.jobs if isinstance(job, str)] == PRETRAINED
    tasks = (study.VOC, study.CITYSCAPES, study.DEPTH)
    cells = {(name, task, seed) for name in ["random", *PRETRAINED] for task in tasks for seed in (0, 1, 2)}
    assert sorted(job for job in told.jobs if isinstance(job, tuple)) == sorted(cells)


def test_changed_settings_reach_every_cell(told):
    sys.argv += ["--only", "depth", "--set", "schedule.iterations=800", "optimizer.lr=0.01"]
    told.overrides = {"schedule.iterations": 800, "optimizer.lr": 0.01}
    assert told() == 0
    assert len([job for job in told.jobs if isinstance(job, tuple)]) == 15


def test_a_setting_without_a_value_is_a_sentence(told, capsys):
    sys.argv += ["--set", "schedule.iterations"]
    assert told() == 2
    assert "--set wants KEY=VALUE and got 'schedule.iterations'." in capsys.readouterr().err


def test_a_changed_recipe_makes_rows_of_its_own(told):
    sys.argv += ["--only", "depth", "--row", "moco", "--pretrain-set", "iterations=960", "lr=0.001"]

    def pretrained(one, *_):
        assert one.changed == ("iterations=960", "lr=0.001")

    assert told(pretrained) == 0
    assert told.jobs[0] == "moco_v2-scenes-0+iterations=960+lr=0.001"


def test_a_changed_recipe_reaches_the_pretraining(study, monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(study, "pretrain", lambda *_, **keywords: given.update(keywords))
    study.pretrained(study.Row("densecl", "resnet18", changed=("lr=0.001",)), "scenes", tmp_path, None)
    assert given["overrides"] == {"precision": study.PRECISION, "lr": "0.001"}


def test_what_fails_is_told_at_the_end_and_the_rest_is_done(study, told, capsys):
    def pretrained(one, *_):
        if one.method == "moco_v2":
            raise DensebenchError("The loss diverged.", "Lower the rate.")

    def measured(cell, *_):
        if cell[0].method == "supervised" and cell[1] == study.DEPTH:
            raise DensebenchError(f"No depth for seed {cell[3]}.")

    assert told(pretrained, measured) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[0] == "The loss diverged. Lower the rate."
    assert sorted(said.err.splitlines()[1:]) == [f"No depth for seed {seed}." for seed in (0, 1, 2)]
    measured_rows = {job[0] for job in told.jobs if isinstance(job, tuple)}
    assert measured_rows == {"random", *PRETRAINED} - {"moco_v2-scenes-0"}


def killed(*_):
    raise BrokenProcessPool


def interrupted(*_, **__):
    raise KeyboardInterrupt


def refused(*_, **__):
    raise DensebenchError("There is no voc.json.", "Write it.")


@pytest.mark.parametrize(
    ("where", "raises", "status", "says"),
    [
        ("guarded", killed, 1, "A process of the study was killed, perhaps for want of memory. The same command "),
        ("as_completed", interrupted, 130, "Interrupted; what was done is kept. The same command continues from "),
        ("Work", refused, 1, "There is no voc.json. Write it.\n"),
    ],
)
def test_an_early_end_is_a_sentence_and_a_status(study, told, monkeypatch, capsys, where, raises, status, says):
    monkeypatch.setattr(study, where, raises)
    assert told() == status
    assert capsys.readouterr().err.startswith(says)


def test_a_row_that_is_none_is_wrong_usage_and_named(told, capsys):
    sys.argv += ["--row", "densecll"]
    assert told() == 2
    assert "Nothing is asked for: the rows are random, densecl-scenes-0, " in capsys.readouterr().err
    assert not told.jobs


def test_a_data_root_without_a_part_is_refused(study, tmp_path):
    def refused(what):
        with pytest.raises(DensebenchError, match=what):
            study.training_images(tmp_path / "data", tmp_path / "out")

    voc = tmp_path / "data" / "VOCdevkit" / "VOC2012" / "ImageSets"
    refused("There is no file .*train.txt. Name a data root")
    for kind in ("Main", "Segmentation"):
        (voc / kind).mkdir(parents=True)
        (voc / kind / "train.txt").write_text("2007_000032\n")
    refused("There is no .jpg file under .*train2017. Name a data root")
    for folder in ("coco/train2017", "bsds/images/train"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "1.jpg").touch()
    names = study.training_images(tmp_path / "data", tmp_path / "out").read_text().splitlines()
    assert [Path(name).name for name in names] == ["2007_000032.jpg", "1.jpg", "1.jpg"]


@pytest.mark.parametrize("jobs", ["0", "-1", "x", "1/2"])
def test_a_wrong_number_of_jobs_is_wrong_usage(study, monkeypatch, capsys, jobs):
    monkeypatch.setattr(sys, "argv", ["study.py", "scenes", f"--jobs={jobs}"])
    with pytest.raises(SystemExit) as end:
        study.main()
    assert end.value.code == 2
    assert f"'{jobs}' is no number of processes; write 1 or more" in capsys.readouterr().err
