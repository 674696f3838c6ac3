"""A task, a backbone and data become one config and one fingerprint."""

import json
from pathlib import Path

import pytest

from benchmark import compose, data_spec, manifest, task
from benchmark.result import fingerprint
from pretrain.errors import UsageError

SPLIT = manifest.Split((Path("a.jpg"), Path("b.jpg")), (Path("a.png"), Path("b.png")), "digest")


def composed(name="voc_seg_fcn_d8_20k.small", arch="resnet18", root="data", classes=("x", "y", "z"), **changes):
    one = task.load(name)
    found = manifest.Manifest(one.data, "made", tuple(classes), SPLIT, SPLIT, True)
    spec = data_spec.DataSpec(Path(root), "made", {})
    fields = {
        "mode": "finetune",
        "seed": 0,
        "precision": "float32",
        "world_size": 1,
        "workers": 2,
        "work_dir": Path("w"),
        "overrides": {},
    }
    setting = compose.Setting(**{**fields, **{key: changes.pop(key) for key in list(changes) if key in fields}})
    colours = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "channel_order": "RGB", **changes}
    return compose.compose(one, arch, spec, found, setting, **colours)


def strings(value):
    if isinstance(value, dict):
        return [text for entry in value.values() for text in strings(entry)]
    if isinstance(value, list | tuple):
        return [text for entry in value for text in strings(entry)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", task.names())
@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_every_task_composes_without_a_name_left_open(name, arch):
    found = composed(name, arch, classes=("x", "y", "z"))
    assert not [text for text in strings(found.config) if text.startswith("$")]
    json.dumps(found.fingerprint)
    width = {"resnet18": 512, "resnet50": 2048}[arch]
    model = found.config["model"]["model"]
    if model["type"] == "EncoderDecoder":
        assert model["decode_head"]["in_channels"] == width
        assert model["decode_head"]["num_classes"] == 3
    assert model["data_preprocessor"]["mean"] == [1.0, 2.0, 3.0]
    assert model["backbone"]["type"] == "ResNet"


@pytest.mark.parametrize("name", ["voc_det_c4_24k", "voc_seg_fcn_d8_20k.small"])
def test_a_trunk_that_pads_as_tensorflow_does_is_built_so_and_its_numbers_are_its_own(name):
    plain, padded = composed(name), composed(name, traits={"padding": "same"})
    model = padded.config["model"]["model"]
    assert model["backbone"]["type"] == "SamePaddedResNet"
    assert model.get("roi_head", {}).get("shared_head", {"padding": "same"})["padding"] == "same"
    assert padded.fingerprint == {**plain.fingerprint, "backbone.padding": "same"}
    assert composed(name, traits={}).fingerprint == plain.fingerprint


def test_what_belongs_to_a_checkpoints_network_does_not_part_its_numbers_from_others():
    task, arch = "voc_seg_fcn_d8_20k.small", "vit_tiny_patch16"
    plain = composed(task, arch=arch)
    other = composed(task, arch=arch, traits={"registers": 4, "layer_scale": True, "eps": 1e-12})
    assert other.config["model"]["model"]["backbone"] != plain.config["model"]["model"]["backbone"]
    assert other.fingerprint == plain.fingerprint


SAME = {
    "architecture": {"arch": "resnet50"},
    "input mean": {"mean": (9.0, 9.0, 9.0)},
    "channel order": {"channel_order": "BGR"},
    "paths": {"root": "elsewhere", "work_dir": Path("other")},
    "workers": {"workers": 7},
    "seed": {"seed": 3},
}
OTHER = {
    "mode": {"mode": "linear"},
    "frozen": {"mode": "frozen"},
    "learning rate": {"overrides": {"optimizer.lr": 0.02}},
    "iterations": {"overrides": {"schedule.iterations": 401}},
    "head width": {"overrides": {"values.width": 64}},
    "test images": {"overrides": {"values.max_test_images": 10}},
    "precision": {"precision": "bfloat16"},
    "norm and images per process": {"world_size": 2},
    "classes": {"classes": ("x", "y", "other")},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME.keys())
def test_what_is_provenance_leaves_the_fingerprint(changes):
    assert fingerprint(composed(**changes).fingerprint) == fingerprint(composed().fingerprint)


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER.keys())
def test_what_makes_numbers_incomparable_changes_the_fingerprint(changes):
    assert fingerprint(composed(**changes).fingerprint) != fingerprint(composed().fingerprint)


def test_sync_norm_becomes_plain_norm_on_one_process_only():
    alone, together = composed(), composed(world_size=2)
    assert "SyncBN" not in strings(alone.config)
    assert "SyncBN" in strings(together.config)
    assert together.config["train_dataloader"]["batch_size"] == 8
    with pytest.raises(UsageError, match="3 processes"):
        composed(world_size=3)


def test_linear_replaces_the_head_and_drops_the_auxiliary_one():
    config = composed(mode="linear").config
    assert config["optim_wrapper"]["optimizer"]["lr"] == 0.03
    model = config["model"]
    assert model["model"]["decode_head"]["type"] == "LinearHead"
    assert model["model"]["auxiliary_head"] is None
    assert "num_convs" not in model["model"]["decode_head"]
    assert model["frozen"] is True


def test_wrong_names_are_answered_with_the_closest():
    with pytest.raises(UsageError, match=r"optimizer\.lr"):
        composed(overrides={"optimizer.lrr": 1})
    with pytest.raises(UsageError, match="no mode 'linear'"):
        composed("voc_det_c4_24k", mode="linear")
    with pytest.raises(UsageError, match="finetune"):
        composed(mode="finetun")
    with pytest.raises(UsageError, match="voc_seg_fcn_d8_20k"):
        task.load("voc_seg_fcn_d8_20")


@pytest.mark.parametrize("name", ["benchmark.data", "benchmark.kind", "benchmark.paper"])
def test_what_a_task_is_cannot_be_set(name):
    with pytest.raises(UsageError, match="says what the task is"):
        composed(overrides={name: "coco_det"})
    assert composed(overrides={"benchmark.precise_bn": 3}).precise_bn == 3


def test_detection_does_not_decay_its_norms():
    """detectron2's SOLVER.WEIGHT_DECAY_NORM is 0; mmseg decays all."""
    found = composed("voc_det_c4_24k")
    assert found.config["optim_wrapper"]["paramwise_cfg"] == {"norm_decay_mult": 0.0}
    assert found.fingerprint["paramwise.norm_decay_mult"] == 0
    other = composed()
    assert "paramwise_cfg" not in other.config["optim_wrapper"]
    assert not any(key.startswith("paramwise") for key in other.fingerprint)


def test_a_list_is_set_whole():
    before = composed().fingerprint
    changed = composed(overrides={"values.crop": [96, 96]}).fingerprint
    assert {96} == {side for name in before if before[name] != changed[name] for side in changed[name]}
    with pytest.raises(UsageError, match=r"'values\.crop=\("):
        composed(overrides={"values.crop": 96})
    with pytest.raises(UsageError, match="no single value"):
        composed(overrides={"optimizer": 3})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("schedule.batch_size", "abc", "a whole number from 1 up; the task has"),
        ("schedule.iterations", 0, "a whole number from 1 up"),
        ("schedule.iterations", 1.5, "a whole number from 1 up"),
        ("optimizer.lr", "abc", "a number from 0 up"),
        ("optimizer.lr", -0.1, "a number from 0 up"),
        ("optimizer.lr", float("nan"), "a number from 0 up"),
        ("optimizer.type", 3, "a word"),
        ("values.crop", [96, "wide"], "a whole number from 1 up"),
        ("values.crop", [96, 0], "a whole number from 1 up"),
        ("values.crop", [96], r"has 2 numbers, such as \(128, 128\); got \[96\]"),
        ("values.width", 1.5, "a whole number from 1 up"),
        ("benchmark.precise_bn", 0.5, "a whole number from 0 up"),
        ("model.backbone.dilations", [1, 1, 2, 0.5], "a whole number from 1 up"),
        ("model.decode_head.in_index", 2.5, "a whole number from 0 up"),
        ("values.align_corners", 1, "True or False"),
        ("values.max_test_images", 0, "a whole number from 1 up"),
        ("values.max_test_images", 2.5, "a whole number from 1 up"),
    ],
)
def test_values_of_another_kind_are_refused(name, value, said):
    with pytest.raises(UsageError, match=said):
        composed(overrides={name: value})


def test_milestones_between_two_steps_are_refused():
    """Such a rate would never fall."""
    composed("voc_det_c4_24k", overrides={"schedule.milestones": [100], "schedule.warmup": 0})
    with pytest.raises(UsageError, match="a whole number from 1 up"):
        composed("voc_det_c4_24k", overrides={"schedule.milestones": [100.5]})


def test_values_of_the_right_kind_are_taken():
    composed(overrides={"values.max_test_images": None})
    composed(overrides={"optimizer.weight_decay": 0, "optimizer.momentum": 1})
    signed = {"model.train_cfg.rpn.sampler.neg_pos_ub": 2.5, "model.train_cfg.rpn.allowed_border": -1}
    composed("voc_det_c4_24k", overrides={**signed, "values.anchor_scales": [2, 5.5, 11]})
    composed("nyu_depth_byol", overrides={"model.data_preprocessor.pad_val": 0.5})


def test_schedules():
    step = compose.param_schedulers(task.load("voc_det_c4_24k").protocol["schedule"])
    assert [one["type"] for one in step] == ["LinearLR", "MultiStepLR"]
    assert step[0]["end"] == 100
    poly = compose.param_schedulers(task.load("voc_seg_fcn_d8_20k").protocol["schedule"])
    assert (poly[0]["type"], poly[0]["eta_min"], poly[0]["end"]) == ("PolyLR", 1e-4, 20000)
    with pytest.raises(UsageError, match="step"):
        compose.param_schedulers({"policy": "steps", "iterations": 3})
