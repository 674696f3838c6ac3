"""Data is checked before any compute; every defect is one sentence that names the file."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmark import data_check, data_spec, manifest
from pretrain.data import scenes
from pretrain.errors import DensebenchError

DATA = sorted(data_spec.OFFICIAL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("made") / "scenes", 8, 3, 0, size=96, workers=1)


@pytest.fixture
def root(made, tmp_path):
    copy = tmp_path / "a folder with spaces"
    shutil.copytree(made, copy)
    manifest._read.cache_clear()
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
    manifest._read.cache_clear()
    assert read(root, "voc_seg").train.digest != before


NAMED = [(data, "labels") for data in DATA] + [(data, "images") for data in ("coco_det", "voc_det", "voc_seg")]


@pytest.mark.parametrize(("data", "part"), NAMED)
def test_a_missing_file_is_named(root, data, part):
    path = getattr(read(root, data).train, part)[-1]
    path.unlink()
    manifest._read.cache_clear()
    with pytest.raises(DensebenchError) as caught:
        read(root, data)
    assert str(path) in caught.value.message


def test_a_class_that_is_none_is_named(root):
    path = read(root, "voc_det").train.labels[0]
    path.write_text(path.read_text().replace("<name>", "<name>un", 1))
    manifest._read.cache_clear()
    with pytest.raises(DensebenchError, match="which is none of the"):
        read(root, "voc_det")


def test_a_category_outside_the_classes_is_named(root):
    path = manifest.coco_annotations(root, "train2017")
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 9999
    path.write_text(json.dumps(content))
    manifest._read.cache_clear()
    with pytest.raises(DensebenchError, match="9999"):
        read(root, "coco_det")


def test_a_wrong_root_says_so(tmp_path):
    with pytest.raises(DensebenchError, match="does not exist"):
        data_spec.read(tmp_path / "nowhere")
    with pytest.raises(DensebenchError, match="right data root"):
        read(tmp_path, "voc_det")
    with pytest.raises(DensebenchError, match="holds none of"):
        data_check.check(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": 2, "name": "x"}', '{"schema": 1, "name": "x", "voc_sgg": {}}'],
)
def test_a_damaged_specification_is_named(tmp_path, content):
    (tmp_path / "densebench.json").write_text(content)
    with pytest.raises(DensebenchError, match=r"densebench\.json"):
        data_spec.read(tmp_path)


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
