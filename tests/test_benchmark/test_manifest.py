"""Data is checked before any compute; every defect is one sentence that names the file."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmark import data_check, data_spec, manifest, section
from pretrain.data import scenes
from pretrain.errors import DensebenchError

DATA = sorted(section.OFFICIAL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("made") / "scenes", 8, 3, 0, size=96, workers=1)


@pytest.fixture
def root(made, tmp_path):
    copy = tmp_path / "a folder with spaces"
    shutil.copytree(made, copy)
    return copy


def read(root, data):
    return manifest.read(data_spec.read(root), data)


@pytest.mark.parametrize("data", DATA)
def test_scenes_are_complete(root, data):
    found = read(root, data)
    assert len(found.train.images) >= 5
    assert len(found.test.images) == 3
    assert found.partial
    assert not set(found.train.images) & set(found.test.images)


def test_the_digest_follows_labels_not_places(root, made, tmp_path):
    before = read(root, "voc_seg").train.digest
    assert read(made, "voc_seg").train.digest == before
    label = read(root, "voc_seg").train.labels[0]
    pixels = np.array(Image.open(label))
    pixels[0, 0] = (pixels[0, 0] + 1) % 3
    label.unlink()  # not through the link to another layout
    Image.fromarray(pixels).save(label)
    assert read(root, "voc_seg").train.digest != before


NAMED = [(data, "labels") for data in DATA] + [(data, "images") for data in ("coco_det", "voc_det", "voc_seg")]


@pytest.mark.parametrize(("data", "part"), NAMED)
def test_a_missing_file_is_named(root, data, part):
    path = getattr(read(root, data).train, part)[-1]
    path.unlink()
    with pytest.raises(DensebenchError) as caught:
        read(root, data)
    assert str(path) in caught.value.message


def test_a_class_that_is_none_is_named(root):
    path = read(root, "voc_det").train.labels[0]
    path.write_text(path.read_text().replace("<name>", "<name>un", 1))
    with pytest.raises(DensebenchError, match="which is none of the"):
        read(root, "voc_det")


def test_a_category_outside_the_classes_is_named(root):
    path = manifest.coco_annotations(root, "train2017")
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 9999
    path.write_text(json.dumps(content))
    with pytest.raises(DensebenchError, match="9999"):
        read(root, "coco_det")


def test_a_wrong_root_says_so(tmp_path):
    with pytest.raises(DensebenchError, match="does not exist"):
        data_spec.read(tmp_path / "nowhere")
    with pytest.raises(DensebenchError, match="right data root"):
        read(tmp_path, "voc_det")
    with pytest.raises(DensebenchError, match="holds none of"):
        data_check.check(tmp_path)


def test_a_specification_can_name_splits_and_classes(root, tmp_path):
    file = tmp_path / "other.json"
    file.write_text('{"schema": 1, "name": "half", "voc_det": {"train": ["VOC2012/train"]}}')
    with pytest.raises(DensebenchError, match="which is none of the 20 classes"):
        manifest.read(data_spec.read(root, file), "voc_det")  # scenes are no official VOC


def test_a_truncated_image_is_named_by_the_check(root):
    path = read(root, "voc_seg").train.images[1]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    lines: list[str] = []
    data_check.check(root, ["cityscapes_seg_fcn_d8_40k"], tell=lines.append)
    assert lines and "cityscapes_seg" in lines[0]
    with pytest.raises(DensebenchError) as caught:
        data_check.check(root, ["voc_seg_fcn_d8_20k"])
    assert str(path) in caught.value.message
    assert data_check.unreadable([path, read(root, "coco_det").train.images[0]]) == [path]


def replaced(path, content):
    """Write a file anew, not through the link to another layout."""
    path.unlink()
    path.write_bytes(content)


LABELS = {
    "voc_seg": "voc_seg_fcn_d8_20k",
    "cityscapes_seg": "cityscapes_seg_fcn_d8_40k",
    "nyu_depth": "nyu_depth_byol",
}


def a_label(root, data, pixels):
    path = read(root, data).train.labels[1]
    path.unlink()
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("data", LABELS)
def test_a_damaged_label_is_named_by_the_check(root, data):
    path = read(root, data).test.labels[-1]
    replaced(path, path.read_bytes()[:-30])
    with pytest.raises(DensebenchError, match="is not a readable image") as caught:
        data_check.check(root, [LABELS[data]])
    assert str(path) in caught.value.message


@pytest.mark.parametrize("data", ["voc_seg", "cityscapes_seg"])
def test_a_class_map_that_does_not_fit_is_named_by_the_check(root, data):
    classes = len(read(root, data).classes)
    fitting = np.zeros((96, 96), np.uint8)
    fitting[3, 5], fitting[4, 5] = classes - 1, 255
    a_label(root, data, fitting)
    data_check.check(root, [LABELS[data]], tell=lambda line: None)
    outside = fitting.copy()
    outside[0, 0] = classes
    wrong = {
        f"has the class {classes}, but there are {classes}": outside,
        "is no map of class indices": np.zeros((96, 96, 3), np.uint8),
        "is of 95x96 pixels, its image of 96x96": fitting[:, 1:],
    }
    for why, pixels in wrong.items():
        path = a_label(root, data, pixels)
        with pytest.raises(DensebenchError, match=why) as caught:
            data_check.check(root, [LABELS[data]])
        assert str(path) in caught.value.message


def test_a_depth_map_of_8_bits_is_named_by_the_check(root):
    a_label(root, "nyu_depth", np.zeros((96, 96), np.uint8))
    with pytest.raises(DensebenchError, match="no depth map of 16 bits, but of the mode L"):
        data_check.check(root, [LABELS["nyu_depth"]])


def coco_changed(root, change):
    path = manifest.coco_annotations(root, "train2017")
    content = json.loads(path.read_text())
    replaced(path, json.dumps(change(content)).encode())


@pytest.mark.parametrize("part", ["categories", "images", "annotations"])
def test_a_coco_file_that_lacks_something_is_named(root, part):
    coco_changed(root, lambda content: content | {part: [{}, *content[part]]})
    with pytest.raises(DensebenchError, match=rf"instances_train2017.json: entry 0 of its {part} has no 'id'"):
        read(root, "coco_det")
    coco_changed(root, lambda content: {name: value for name, value in content.items() if name != part})
    with pytest.raises(DensebenchError, match=rf"instances_train2017.json has no list of {part}"):
        read(root, "coco_det")
    coco_changed(root, lambda content: [content])
    with pytest.raises(DensebenchError, match=r"instances_train2017.json holds a list"):
        read(root, "coco_det")


def test_a_list_that_is_no_text_and_an_annotation_that_is_no_xml_are_named(root):
    labels = read(root, "voc_det").train.labels
    for content in (b"\xff\xd8\xff", b"", b'<?xml version="1.0" encoding="UTF-99"?><annotation/>'):
        replaced(labels[0], content)
        with pytest.raises(DensebenchError, match=rf"{labels[0].name} is not valid XML"):
            read(root, "voc_det")
    replaced(manifest.voc_list(root, "VOC2007/trainval", "Main"), b"\xff\xd8\xff")
    with pytest.raises(DensebenchError, match=r"trainval\.txt is no text"):
        read(root, "voc_det")


def test_the_check_tells_the_faults_of_every_data_set(root, capsys, monkeypatch):
    monkeypatch.setattr(data_check, "FEW", 2)
    damaged = [read(root, "cityscapes_seg").train.images[number] for number in (0, 2, 3)]
    for path in damaged:
        replaced(path, b"no image")
    missing = read(root, "voc_det").train.labels[0]
    missing.unlink()
    lines: list[str] = []
    with pytest.raises(DensebenchError) as caught:
        data_check.check(root, tell=lines.append)
    _, *told = caught.value.message.splitlines()
    assert sorted(line.split(":")[0] for line in told) == ["cityscapes_seg"] * 3 + ["voc_det"]
    assert [str(path) in caught.value.message for path in damaged] == [True, True, False]
    assert "cityscapes_seg: and 1 more such files." in told
    assert str(missing) in caught.value.message
    assert [line.split(":")[0] for line in lines] == ["coco_det", "voc_seg", "nyu_depth"]
    assert "coco_det: 11/11" in capsys.readouterr().err


def test_the_check_works_without_affinity(root, monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert data_check.unreadable(read(root, "voc_seg").test.images) == []
