"""Every protocol against its published settings, and the siblings against their paper."""

import pytest

from benchmark import paper, task
from pretrain.errors import DensebenchError

SIZES = ("small", "demo")
PAPER = [name for name in task.names() if not name.endswith(SIZES)]


def protocol(name):
    return task.load(name).protocol


def test_voc_detection_is_the_papers():
    found = protocol("voc_det_c4_24k")
    schedule = found["schedule"]
    assert (schedule["iterations"], schedule["batch_size"], schedule["milestones"]) == (
        24000,
        16,
        [18000, 22000],
    )
    assert (schedule["warmup"], found["optimizer"]["lr"], found["optimizer"]["weight_decay"]) == (
        100,
        0.02,
        1e-4,
    )
    assert [scale[1] for scale in found["values"]["train_scales"]] == list(range(480, 801, 32))
    assert found["values"]["test_scale"][1] == 800
    test = found["model"]["test_cfg"]["rpn"]
    assert (test["nms_pre"], test["max_per_img"]) == (6000, 1000)
    assert found["model"]["roi_head"]["shared_head"]["type"] == "Res5ExtraNorm"
    assert found["model"]["roi_head"]["shared_head"]["norm_cfg"]["type"] == "SyncBN"
    assert found["evaluator"] == {"type": "VocAP", "style": "11points"}
    assert found["benchmark"]["precise_bn"] == 200
    assert found["paramwise"] == {"norm_decay_mult": 0.0}
    assert {"type": "KeepDifficult"} in found["train_pipeline"]
    assert [metric.key for metric in task.load("voc_det_c4_24k").metrics] == ["AP", "AP50", "AP75"]


def test_coco_detection_is_the_papers():
    found = protocol("coco_det_fpn_1x")
    schedule = found["schedule"]
    assert (schedule["iterations"], schedule["batch_size"], schedule["milestones"]) == (
        90000,
        16,
        [60000, 80000],
    )
    assert found["optimizer"]["lr"] == 0.02
    assert [scale[1] for scale in found["values"]["train_scales"]] == list(range(640, 801, 32))
    heads = found["model"]["roi_head"]
    assert heads["bbox_head"]["type"] == "Shared4Conv1FCBBoxHead"
    assert heads["mask_head"]["num_convs"] == 4
    norms = [heads["bbox_head"], heads["mask_head"], found["model"]["neck"], found["model"]["backbone"]]
    assert {block["norm_cfg"]["type"] for block in norms} == {"SyncBN"}


@pytest.mark.parametrize(
    ("name", "iterations", "batch", "crop", "aligned"),
    [
        ("voc_seg_fcn_d8_20k", 20000, 16, [512, 512], False),
        ("cityscapes_seg_fcn_d8_40k", 40000, 8, [769, 769], True),
    ],
)
def test_segmentation_is_the_papers(name, iterations, batch, crop, aligned):
    found = protocol(name)
    assert (found["schedule"]["iterations"], found["schedule"]["batch_size"]) == (iterations, batch)
    assert (found["schedule"]["policy"], found["schedule"]["power"], found["schedule"]["min_lr"]) == (
        "poly",
        0.9,
        1e-4,
    )
    assert found["optimizer"] == {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    assert list(found["values"]["crop"]) == crop
    assert found["values"]["align_corners"] is aligned
    assert list(found["model"]["backbone"]["dilations"]) == [1, 1, 2, 4]
    assert list(found["model"]["backbone"]["strides"]) == [1, 2, 1, 1]
    assert found["model"]["backbone"]["contract_dilation"] is True
    assert "pretrained" not in found["model"]
    head, auxiliary = found["model"]["decode_head"], found["model"]["auxiliary_head"]
    assert (found["values"]["width"], head["num_convs"], head["concat_input"], head["dropout_ratio"]) == (
        512,
        2,
        True,
        0.1,
    )
    assert (
        found["values"]["auxiliary_width"],
        auxiliary["in_index"],
        auxiliary["loss_decode"]["loss_weight"],
    ) == (256, 2, 0.4)


def test_cityscapes_slides_at_test_time():
    assert protocol("cityscapes_seg_fcn_d8_40k")["model"]["test_cfg"] == {
        "mode": "slide",
        "crop_size": "$crop",
        "stride": (513, 513),
    }


def test_depth_is_the_papers():
    found = protocol("nyu_depth_byol")
    assert (found["schedule"]["iterations"], found["schedule"]["batch_size"]) == (7500, 256)
    assert (found["optimizer"]["lr"], found["optimizer"]["weight_decay"]) == (0.16, 5e-4)
    assert list(found["values"]["widths"]) == [512, 256, 128, 64]
    assert list(found["values"]["crop"]) == [228, 304]
    distortion = next(step for step in found["train_pipeline"] if step["type"] == "PhotoDistortion")
    assert (distortion["grayscale"], distortion["brightness"], distortion["hue"]) == (0.3, 0.1255, 0.2)
    assert [metric.better for metric in task.load("nyu_depth_byol").metrics] == ["higher"] * 3 + ["lower"] * 2


@pytest.mark.parametrize("name", PAPER)
def test_a_sibling_differs_in_numbers_only(name):
    """The same model, transforms and metrics: `.small` and `.demo` change sizes, never the implementation."""

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            kinds = [shape(entry) for entry in value]
            return kinds if any(isinstance(entry, dict) for entry in value) else "numbers"
        return value if isinstance(value, str) else "number"

    for size in SIZES:
        if f"{name}.{size}" not in task.names():
            continue
        sibling = protocol(f"{name}.{size}")
        for block in ("model", "train_pipeline", "test_pipeline", "evaluator", "trunk"):
            assert shape(sibling[block]) == shape(protocol(name)[block]), (name, size, block)
        assert sibling["optimizer"]["type"] == protocol(name)["optimizer"]["type"]
        assert sibling["schedule"]["policy"] == protocol(name)["schedule"]["policy"]


@pytest.mark.parametrize("name", sorted({row.task for row in paper.load()} & set(PAPER)))
def test_a_protocol_of_a_paper_s_table_has_its_siblings(name):
    assert {f"{name}.{size}" for size in SIZES} <= set(task.names())


def test_an_installed_copy_has_no_tasks_and_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(task, "FOLDER", tmp_path / "transfer_configs")
    with pytest.raises(DensebenchError, match="from a clone"):
        task.load("voc_det_c4_24k")


@pytest.mark.parametrize("lost", ["precision", "schedule.batch_size", "benchmark.metrics"])
def test_what_a_task_must_say_is_named(lost, tmp_path, monkeypatch):
    block, _, entry = lost.rpartition(".")
    asked = {"model", "trunk", "train_pipeline", "test_pipeline", "optimizer", "evaluator", "values"}
    said = {**{key: {} for key in asked}, "precision": "float32", "test_batch_size": 1}
    said["schedule"] = {"iterations": 1, "batch_size": 1, "policy": "poly"}
    said["benchmark"] = {"kind": "depth", "data": "nyu_depth", "metrics": [], "precise_bn": 0}
    monkeypatch.setattr(task, "FOLDER", tmp_path)
    (tmp_path / "whole.py").write_text("".join(f"{name} = {value!r}\n" for name, value in said.items()))
    assert task.load("whole").kind == "depth"
    del (said[block] if block else said)[entry]
    (tmp_path / "broken.py").write_text("".join(f"{name} = {value!r}\n" for name, value in said.items()))
    with pytest.raises(DensebenchError, match=rf"broken\.py has no '{lost}'"):
        task.load("broken")


def test_no_task_names_a_backbone():
    for name in task.names():
        backbone = protocol(name)["model"]["backbone"]
        assert "type" not in backbone and "depth" not in backbone, name
