"""The real program on tiny data: runs, records, resumes, and what it refuses."""

import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image

import benchmark
import pretrain.backbones
from benchmark import convert, manifest
from benchmark.request import Request
from benchmark.result import read_all
from benchmark.run import run_tasks
from pretrain.data import scenes
from pretrain.errors import DensebenchError, UsageError

TINY = {
    "values.max_test_images": 4,
    "schedule.iterations": 2,
    "schedule.batch_size": 2,
}
SEGMENTATION = {**TINY, "values.width": 8, "values.auxiliary_width": 8}
TASKS = {
    "voc_det_c4_24k.demo": {**TINY, "model.train_cfg.rcnn.sampler.num": 4},
    "coco_det_fpn_1x.demo": {**TINY, "values.width": 16, "values.fc_width": 16},
    "voc_seg_fcn_d8_20k.demo": SEGMENTATION,
    "cityscapes_seg_fcn_d8_40k.demo": SEGMENTATION,
    "nyu_depth_byol.demo": TINY,
}
SEG, DEPTH = "voc_seg_fcn_d8_20k.demo", "nyu_depth_byol.demo"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("data") / "scenes", 12, 4, 0, size=96, workers=1)


@pytest.fixture
def private_data(tmp_path):
    """Data of its own for a test that damages it."""
    return scenes.write(tmp_path / "private scenes", 12, 4, 1, size=96, workers=1)


def request(data, out, **changes):
    fields = {"arch": "resnet18", "workers": 0, "overrides": SEGMENTATION, "precision": "float32"}
    return Request(data_root=data, out=out, **{**fields, **changes})


@pytest.fixture
def checkpoint(tmp_path, trained_looking):
    path = tmp_path / "resnet18.pth"
    torch.save(trained_looking("resnet18"), path)
    return str(path)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_task_gives_a_record_with_all_its_metrics(data, tmp_path, name, precision):
    found = run_tasks([name], "random", [0], request(data, tmp_path, overrides=TASKS[name], precision=precision))
    (record,) = read_all([tmp_path / "records"])
    assert found == [record]
    assert record.directions.keys() == record.metrics.keys() == record.metric_info.keys()
    assert record.partial and record.seed == 0 and record.method == "random"
    assert record.weights == "random:resnet18:kaiming_fan_out"
    assert any("SyncBN became BN" in note for note in record.notes)
    assert record.data["name"] == "scenes"
    assert not list((tmp_path / "work").rglob("state.pth"))


def test_a_finished_run_has_ended_its_workers(data, tmp_path):
    before = set(multiprocessing.active_children())
    run_tasks([SEG], "random", [0], request(data, tmp_path, workers=1), lambda _: None)
    assert not set(multiprocessing.active_children()) - before


def test_a_record_that_exists_is_not_run_again(data, tmp_path):
    wanted = request(data, tmp_path, overrides=TINY)
    events = []
    first = run_tasks([DEPTH], "random", [0, 1], wanted, events.append)
    assert [event.kind for event in events] == ["started", "step", "step", "recorded"] * 2
    assert first[0].metrics != first[1].metrics
    events.clear()
    assert run_tasks([DEPTH], "random", [0, 1], wanted, events.append) == first
    assert [event.kind for event in events] == ["found", "found"]
    again = run_tasks([DEPTH], "random", [0], request(data, tmp_path, overrides=TINY, force=True))
    assert again[0].metrics == first[0].metrics  # the same seed, the same numbers
    assert again[0].wall_time_s != first[0].wall_time_s


@pytest.mark.parametrize("mode", ["finetune", "frozen", "linear"])
def test_what_trains_is_what_the_mode_says(data, tmp_path, checkpoint, mode, trained_looking):
    wanted = request(data, tmp_path / "out", mode=mode, keep_model=True)
    (record,) = run_tasks([SEG], checkpoint, [0], wanted)
    (model,) = (tmp_path / "out").rglob("model.pth")
    trained = torch.load(model, weights_only=True)
    same = [
        torch.equal(trained[f"backbone.{name}"], tensor)
        for name, tensor in trained_looking("resnet18").items()
        if not name.startswith("fc.") and tensor.dim() == 4
    ]
    statistics = trained["backbone.bn1.running_mean"]
    untouched = torch.equal(statistics, trained_looking("resnet18")["bn1.running_mean"])
    if mode == "finetune":
        assert not any(same) and not untouched
    else:
        assert all(same) and untouched
    assert record.mode == mode
    assert record.pretrain_seed is None
    assert record.certificate["ok"]


def test_a_frozen_random_trunk_gets_its_own_norm_statistics(data, tmp_path):
    wanted = request(data, tmp_path, mode="linear", keep_model=True)
    (record,) = run_tasks([SEG], "random", [0], wanted)
    (model,) = tmp_path.rglob("model.pth")
    mean = torch.load(model, weights_only=True)["backbone.bn1.running_mean"]
    assert mean.abs().sum() > 0  # zero in a network that saw no image
    assert any("norm statistics" in note for note in record.notes)


def test_a_linear_probe_is_whitened_by_training_images(data, tmp_path, checkpoint):
    run_tasks([SEG], checkpoint, [0], request(data, tmp_path / "out", mode="linear", keep_model=True))
    (model,) = (tmp_path / "out").rglob("model.pth")
    matrix = torch.load(model, weights_only=True)["decode_head.whitening.matrix"]
    assert not torch.equal(matrix, torch.eye(len(matrix)))
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-3, atol=1e-3)  # ZCA: a symmetric root of an inverse
    assert torch.linalg.eigvalsh(matrix.double()).min() > 0


def full_disk(*args, **keywords):
    raise DensebenchError("No space left.")


def test_a_finished_training_is_kept_until_its_record_is_written(data, tmp_path, monkeypatch):
    """A full disk, say: nothing that was computed is lost."""
    monkeypatch.setenv("DENSEBENCH_SAVE_SECONDS", "0")
    with monkeypatch.context() as broken, pytest.raises(DensebenchError, match="No space left"):
        broken.setattr("benchmark.run.write", full_disk)
        run_tasks([SEG], "random", [0], request(data, tmp_path))
    assert list((tmp_path / "work").rglob("state.pth"))
    (record,) = run_tasks([SEG], "random", [0], request(data, tmp_path))
    assert not list((tmp_path / "work").rglob("state.pth"))
    (undisturbed,) = run_tasks([SEG], "random", [0], request(data, tmp_path / "other"))
    assert record.metrics == undisturbed.metrics


def test_another_input_normalisation_does_not_go_on_from_an_old_state(data, tmp_path, trained_looking, monkeypatch):
    """Whose weights were trained on other inputs, and whose file cannot tell."""
    torch.save(trained_looking("resnet18"), tmp_path / "theirs.pth")
    inputs = {"mean": (120.0, 120.0, 120.0), "std": (60.0, 60.0, 60.0), "channel_order": "RGB"}

    def measured(out, **inputs):
        return run_tasks([SEG], str(tmp_path / "theirs.pth"), [0], request(data, tmp_path / out, inputs=inputs))[0]

    with monkeypatch.context() as broken, pytest.raises(DensebenchError, match="No space left"):
        broken.setenv("DENSEBENCH_SAVE_SECONDS", "0")
        broken.setattr("benchmark.run.write", full_disk)
        measured("out")
    assert measured("out", **inputs).metrics == measured("undisturbed", **inputs).metrics
    assert list((tmp_path / "out" / "work").rglob("state.pth"))  # of the other inputs, which can still go on


def test_another_input_normalisation_is_not_answered_with_an_old_number(data, tmp_path, checkpoint):
    (record,) = run_tasks([SEG], checkpoint, [0], request(data, tmp_path / "out"))
    assert record.pretraining["input"]["channel_order"] == "RGB"
    (path,) = (tmp_path / "out" / "records").glob("*.json")
    path.write_text(path.read_text().replace('"RGB"', '"BGR"'))
    with pytest.raises(DensebenchError, match="was measured with the input normalisation") as refused:
        run_tasks([SEG], checkpoint, [0], request(data, tmp_path / "out"))
    assert "--force" in refused.value.mend
    again = run_tasks([SEG], checkpoint, [0], request(data, tmp_path / "out", force=True))
    assert again[0].metrics == record.metrics


def test_the_functions_take_paths_as_texts(data, tmp_path):
    how = {"arch": "resnet18", "workers": 0, "overrides": SEGMENTATION}
    spec = tmp_path / "spec.json"
    spec.write_text((data / "densebench.json").read_text())
    records = benchmark.evaluate(
        "random", [SEG], data_root=str(data), out=str(tmp_path / "out"), data_spec=str(spec), **how
    )
    table = benchmark.leaderboard(records)
    assert list((tmp_path / "out" / "records").glob("*.json"))
    assert set(table.task) == {SEG} and records[0].metrics["mIoU"] in list(table["mean"])


def test_precision_can_be_set_like_any_other_setting(data, tmp_path):
    overrides = {**SEGMENTATION, "precision": "float32"}
    (record,) = run_tasks([SEG], "random", [0], request(data, tmp_path, precision=None, overrides=overrides))
    assert record.precision == record.fingerprint_dict["precision"] == "float32"
    assert "precision was set to float32" in record.changes
    assert 0 < record.data["evaluated_classes"] <= len(record.data["classes"])
    assert set(record.metrics) == {"mIoU", "mAcc", "aAcc"} and record.evaluated == 4


def test_an_uncertified_checkpoint_is_refused_and_leaves_no_record(data, tmp_path, trained_looking):
    state = trained_looking("resnet18")
    state["layer3.1.conv2.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(DensebenchError, match="NaN"):
        run_tasks([SEG], str(tmp_path / "bad.pth"), [0], request(data, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_wrong_usage_is_found_before_any_work(data, tmp_path):
    with pytest.raises(UsageError, match="needs an architecture"):
        run_tasks([SEG], "random", [0], request(data, tmp_path, arch=None))
    with pytest.raises(UsageError, match="no checkpoint"):
        run_tasks([SEG], "nowhere.pth", [0], request(data, tmp_path))
    with pytest.raises(UsageError, match="has no mode 'linear'"):
        run_tasks(["voc_det_c4_24k.demo"], "random", [0], request(data, tmp_path, mode="linear"))
    with pytest.raises(DensebenchError, match="does not exist"):
        run_tasks([SEG], "random", [0], request(tmp_path / "nowhere", tmp_path))


def test_what_is_cheap_to_check_is_checked_for_all_tasks_before_any_data_is_read(tmp_path, checkpoint, monkeypatch):
    """The data root does not even exist, and it is the second task that does not fit."""
    both, nowhere = [SEG, "voc_det_c4_24k.demo"], tmp_path / "nowhere"
    no_settings = {"overrides": {}, "precision": None}
    with pytest.raises(UsageError, match="There is no architecture 'resnet5'"):
        run_tasks(both, "random", [0], request(nowhere, tmp_path, arch="resnet5", **no_settings))
    with pytest.raises(UsageError, match=r"voc_det_c4_24k\.demo detects on maps"):
        run_tasks(both, "random", [0], request(nowhere, tmp_path, arch="vit_tiny_patch16", **no_settings))
    torch.save(pretrain.backbones.build("vit_tiny_patch16", 0).state_dict(), tmp_path / "vit.pth")
    with pytest.raises(UsageError, match=r"voc_det_c4_24k\.demo detects on maps"):  # told from the file's headers
        run_tasks(both, str(tmp_path / "vit.pth"), [0], request(nowhere, tmp_path, arch=None, **no_settings))
    with pytest.raises(UsageError, match="There is no checkpoint"):
        run_tasks(both, "missing.pth", [0], request(nowhere, tmp_path, **no_settings))
    monkeypatch.setattr("benchmark.run.world_size", lambda: 7)
    with pytest.raises(UsageError, match="7 processes cannot share evenly"):
        run_tasks(both, checkpoint, [0], request(nowhere, tmp_path, **no_settings))


def test_a_file_is_certified_once_for_all_seeds(data, tmp_path, checkpoint, monkeypatch):
    certified, convert_once = [], convert.convert
    monkeypatch.setattr(convert, "convert", lambda *a, **k: certified.append(k["to"]) or convert_once(*a, **k))
    first, second = run_tasks([SEG], checkpoint, [0, 1], request(data, tmp_path / "both"))
    assert certified == ["mmseg"]
    (alone,) = run_tasks([SEG], checkpoint, [1], request(data, tmp_path / "alone"))
    assert alone.metrics == second.metrics != first.metrics  # the first run left the trunk as it was


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named_and_left_out_when_asked(private_data, tmp_path, workers):
    path = private_data / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    image = private_data / f"VOCdevkit/VOC2012/JPEGImages/{path.read_text().split()[0]}.jpg"
    content = image.read_bytes()
    image.unlink()
    image.write_bytes(content[:-200])
    longer = {**SEGMENTATION, "schedule.iterations": 8}
    wanted = request(private_data, tmp_path / "out", overrides=longer, workers=workers)
    with pytest.raises(DensebenchError) as caught:
        run_tasks([SEG], "random", [0], wanted)
    assert str(image) in caught.value.message
    assert "\n" not in caught.value.message
    wanted = request(private_data, tmp_path / "out", overrides=longer, skip_unreadable=True, workers=workers)
    (record,) = run_tasks([SEG], "random", [0], wanted)
    assert "1 unreadable training images were left out." in record.notes


def test_a_label_outside_the_classes_is_named(private_data, tmp_path):
    labels = manifest.read(_spec(private_data), "voc_seg").train.labels
    for label in labels:
        pixels = np.array(Image.open(label))
        pixels[: pixels.shape[0] // 2] = 77
        label.unlink()
        Image.fromarray(pixels).save(label)
    with pytest.raises(DensebenchError, match=r"\.png has the label 77"):
        run_tasks([SEG], "random", [0], request(private_data, tmp_path / "out"))


def _spec(root):
    from benchmark import data_spec

    return data_spec.read(root)
