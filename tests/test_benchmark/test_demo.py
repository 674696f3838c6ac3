"""The demo's plan, the note that spares a second demo its imports, and its certificates in one line."""

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark import demo
from benchmark.certificate import Certificate
from benchmark.demo import demonstrate, in_short
from benchmark.plan import METHODS, QUICK_TASKS, TASKS, Plan
from benchmark.result import write
from pretrain import methods
from pretrain.errors import UsageError


def test_the_plan_is_the_whole_table_by_default():
    plan = Plan.make(Path("demo"))
    assert plan.methods == METHODS
    assert plan.tasks == TASKS
    assert len(TASKS) == 5
    kinds = [step.kind for step in plan.steps().values()]
    assert kinds.count("pretrain") == 2
    assert sum(kind in TASKS for kind in kinds) == 15


def test_quick_leaves_detection_out():
    assert Plan.make(Path("demo"), quick=True).tasks == QUICK_TASKS
    assert not any("det" in task for task in QUICK_TASKS)


def test_methods_tasks_and_seeds_widen_it():
    plan = Plan.make(Path("demo"), methods=["supervised"], tasks=["voc_seg_fcn_d8_20k.small"], seeds=[0, 1, 1])
    assert (plan.methods, plan.tasks, plan.seeds) == (("supervised",), ("voc_seg_fcn_d8_20k.small",), (0, 1))
    assert sum(name.startswith("supervised voc_seg") for name in plan.steps()) == 2


def test_unknown_names_are_wrong_usage():
    with pytest.raises(UsageError, match="densecl"):
        Plan.make(Path("demo"), methods=["densclr"])
    with pytest.raises(UsageError, match="nyu_depth_byol"):
        Plan.make(Path("demo"), tasks=["nyu_depth"])


@pytest.mark.parametrize("method", methods.names())
def test_a_method_that_the_demo_cannot_pretrain_is_wrong_usage(method):
    kind = methods.load(method)
    mend = f"densebench pretrain {method} --{'masks' if kind.reads_regions else 'arch'}"
    runs = "resnet" in kind.families and not kind.reads_regions
    with nullcontext() if runs else pytest.raises(UsageError, match=f"^{method} .*{mend}"):
        assert Plan.make(Path("demo"), methods=["random", method]).methods[-1] == method


@pytest.fixture
def finished(tmp_path, make_record, monkeypatch):
    """A demo of two cells that has been done, and work that must not be done again."""
    plan = Plan.make(tmp_path, methods=["random", "densecl"], tasks=["voc_seg_fcn_d8_20k.demo"])
    plan.data.mkdir()
    (plan.data / "densebench.json").write_text("{}")
    plan.folder("densecl").mkdir(parents=True)
    plan.checkpoint("densecl").write_bytes(b"weights")
    done = [
        make_record(method=m, task="voc_seg_fcn_d8_20k.demo", value=v)
        for m, v in (("random", 11.25), ("densecl", 31.75))
    ]
    for record in done:
        write(record, plan.out / "records")
    runs = []
    monkeypatch.setattr(demo._Demo, "run", lambda self: runs.append(self) or done)
    demonstrate(plan)
    assert len(runs) == 1
    return plan, runs


def test_a_second_demo_prints_the_table_from_its_records(finished, capsys):
    plan, runs = finished
    records = demonstrate(plan)
    assert len(runs) == 1
    assert [record.metrics["mIoU"] for record in records] == [11.25, 31.75]
    shown = capsys.readouterr().out
    assert "31.8" in shown
    table = (plan.out / "leaderboard.csv").read_text()
    assert "31.75" in table
    assert "20.5" in table  # the gain over random


def test_a_demo_is_done_again_when_something_changed(finished):
    plan, runs = finished
    plan.checkpoint("densecl").write_bytes(b"other weights")
    demonstrate(plan)
    assert len(runs) == 2
    demonstrate(dataclasses.replace(plan, seeds=(0, 1)))
    assert len(runs) == 3


def test_a_demo_is_done_again_when_a_record_is_gone_or_damaged(finished):
    plan, runs = finished
    record = next((plan.out / "records").glob("*.json"))
    content = record.read_text()
    record.write_text(content[:100])
    demonstrate(plan)
    assert len(runs) == 2
    record.write_text(content)
    demonstrate(plan)
    assert len(runs) == 2
    (plan.out / "finished.json").write_text(json.dumps([]))
    demonstrate(plan)
    assert len(runs) == 3


def test_a_certificate_in_one_line():
    parity = [{"weights": "own", "stage": "layer1", "max_abs": 1e-6, "max_rel": 3e-7}]
    certificate = Certificate("densebench", "resnet18", "mmdet", 120, "0123456789abcdef", parity=parity)
    line = in_short(certificate)
    assert "120 tensors" in line
    assert "3e-07" in line
    assert "0123456789ab" in line


def test_a_full_demo_does_not_keep_the_picture_of_a_quick_one(tmp_path, monkeypatch):
    from benchmark import correspond, data_spec, manifest
    from benchmark.report import correspondence

    drawn = []
    monkeypatch.setattr(data_spec, "read", lambda root: None)
    monkeypatch.setattr(manifest, "read", lambda spec, data: SimpleNamespace(test=SimpleNamespace(images=())))
    monkeypatch.setattr(correspond, "correspondences", lambda checkpoint, images: checkpoint)
    monkeypatch.setattr(correspondence, "draw", lambda matches, path: (path.touch(), drawn.append((matches, path))))
    (tmp_path / "pictures").mkdir()
    plans = [Plan.make(tmp_path, quick=quick) for quick in (True, False, True)]
    for plan in plans:
        demo._Demo(plan, None, None)._correspondences("densecl")
    assert [checkpoint for checkpoint, _ in drawn] == [plan.checkpoint("densecl") for plan in plans[:2]]
    assert len({path for _, path in drawn}) == 2
