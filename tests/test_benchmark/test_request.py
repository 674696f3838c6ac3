"""What a user asks beside task and checkpoint: settings that change something, and what a file does not say."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark import beforehand, convert, protocol, run, task
from benchmark.request import Request
from benchmark.result import CHANGED, write
from pretrain.errors import DensebenchError, UsageError

SEG = "voc_seg_fcn_d8_20k.demo"
STATED = {"method": "moco_v2", "recipe": "imagenet-200e", "data": "ImageNet-1k", "epochs": 200.0}
STRANGER = SimpleNamespace(meta={}, state={}, mean=(0, 0, 0), std=(1, 1, 1), channel_order="RGB")


@pytest.fixture(scope="module")
def segmentation():
    return task.load(SEG)


def one_run(task, **asked):
    request = Request(Path(), **asked)
    return run._Run(task, None, None, STRANGER, 0, "moco_v2_200ep.pth", request, ())


def changed(task, **asked):
    notes = one_run(task, **asked)._notes(SimpleNamespace(notes=[]))
    return [note.removeprefix(CHANGED) for note in notes if note.startswith(CHANGED)]


def test_a_setting_left_as_it_is_changes_nothing(segmentation):
    plain = dict(protocol.flatten(segmentation.protocol, ""))
    same = {name: plain[name] for name in ("schedule.iterations", "optimizer.lr", "values.scale")}
    assert changed(segmentation, overrides=same) == []
    assert changed(segmentation, overrides={**same, "schedule.iterations": 7}) == ["schedule.iterations was set to 7."]


def test_a_precision_that_is_not_the_tasks_is_a_change(segmentation):
    own = segmentation.protocol["precision"]
    (other,) = {"float32", "bfloat16"} - {own}
    assert changed(segmentation, precision=own) == changed(segmentation) == []
    assert changed(segmentation, precision=other) == [f"precision was set to {other}."]
    assert changed(segmentation, overrides={"precision": other}) == [f"precision was set to {other}."]


def test_what_a_strangers_file_does_not_say_is_stated(segmentation):
    assert one_run(segmentation, stated=STATED)._meta == {**STATED, "stated": True}
    assert one_run(segmentation)._meta == {}
    assert one_run(segmentation, stated=STATED)._name == "moco_v2"


def test_our_own_file_and_random_say_it_themselves(segmentation, tmp_path, monkeypatch):
    request = Request(Path(), arch="resnet18", stated=STATED)
    with pytest.raises(UsageError, match="no pretraining") as caught:
        beforehand.check([SEG], "random", request, 1)
    assert "--method, --recipe, --pretrain-data, --epochs" in caught.value.mend
    (tmp_path / "checkpoint.safetensors").touch()
    monkeypatch.setattr(convert, "convert", lambda *_, **__: SimpleNamespace(meta={"method": "densecl"}))
    with pytest.raises(UsageError, match="says itself how it was pretrained"):
        run._Backbones(str(tmp_path / "checkpoint.safetensors"), request)(segmentation, 0)


def test_a_record_that_says_something_else_is_not_taken(segmentation, make_record, tmp_path):
    pretraining = {**STATED, "stated": True}
    del pretraining["method"]
    known = make_record(method="moco_v2", pretraining=pretraining)
    write(known, tmp_path)
    found = one_run(segmentation, stated=STATED)._known(known.key, tmp_path, lambda event: None)
    assert found == known
    with pytest.raises(DensebenchError, match=r"says of its pretraining epochs 200\.0, not 800"):
        one_run(segmentation, stated={**STATED, "epochs": 800})._known(known.key, tmp_path, lambda event: None)
