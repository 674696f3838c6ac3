"""A data specification: what it may say, and what is refused in one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import data_spec, datasets, manifest
from pretrain.errors import DensebenchError


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": 2, "name": "x"}', '{"schema": 1, "name": "x", "voc_sgg": {}}'],
)
def test_a_damaged_specification_is_named(tmp_path, content):
    (tmp_path / "densebench.json").write_text(content)
    with pytest.raises(DensebenchError, match=r"densebench\.json"):
        data_spec.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "it holds a list"),
        ('{"schema": 1}', "it has no 'name'"),
        ('{"name": "x"}', "it has no 'schema'"),
        ('{"schema": 1, "name": 3}', "its 'name' is of another kind"),
        ('{"schema": 1, "name": "x", "voc_det": 3}', "its section 'voc_det' is no object"),
    ],
)
def test_what_a_specification_lacks_is_said(tmp_path, content, why):
    (tmp_path / "densebench.json").write_text(content)
    with pytest.raises(DensebenchError, match=why):
        data_spec.read(tmp_path)


def test_a_relative_root_is_resolved(tmp_path, monkeypatch):
    """The loader's paths and those of unreadable images are compared as text."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path)
    for typed in ("data", "link"):
        assert data_spec.read(Path(typed)).root == (tmp_path / "data").resolve()


def test_a_data_root_that_is_a_file_is_said_to_be_one(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DensebenchError, match="is a file, not a folder"):
        data_spec.read(tmp_path / "file")


def read(folder, **content):
    (folder / "densebench.json").write_text(json.dumps({"schema": 1, "name": "mine", **content}))
    return data_spec.read(folder)


@pytest.mark.parametrize(
    ("section", "content", "why"),
    [
        ("nyu_depth", {"max_depht": 80}, "has the key 'max_depht', which is none of images, max_depth, test, train"),
        ("voc_seg", {"label": "Masks"}, "has the key 'label', which is none of classes, images, labels, test, train"),
        ("voc_det", {"labels": "Masks"}, "has the key 'labels'"),
        (
            "voc_det",
            {"train": "VOC2012/train"},
            r'train of its section .* should be a list such as \["VOC2012/train"\]',
        ),
        ("voc_seg", {"test": ["val"]}, r"test of .* should be a list such as .*, and is \['val'\]"),
        ("coco_det", {"train": ["train2017"]}, "train of .* should be the name of a folder"),
        ("voc_seg", {"labels": ["Masks"]}, "labels of .* should be a folder, or one for each list"),
        ("voc_seg", {"train": ["VOC2012/mine"]}, "labels of .* names no folder for the list VOC2012/mine"),
        ("nyu_depth", {"max_depth": "80"}, "max_depth of .* should be a number of metres above 0"),
        ("cityscapes_seg", {"classes": ["road", "road"]}, "classes of .* should be a list of names, all different"),
        ("cityscapes_seg", {"images": {"train": 8}}, "images of .* should be how many make a whole set"),
    ],
)
def test_a_section_s_fault_is_said(tmp_path, section, content, why):
    with pytest.raises(DensebenchError, match=why):
        read(tmp_path, **{section: content})


def test_a_name_that_would_pass_for_the_official_data_is_refused(tmp_path):
    with pytest.raises(DensebenchError, match="its name is 'official'"):
        read(tmp_path, name="official")


@pytest.mark.parametrize("labels", ["Masks", {"VOC2012/mine": "Masks", "VOC2012/val": "SegmentationClass"}])
def test_own_lists_and_label_folders_are_taken(tmp_path, labels):
    spec = read(tmp_path, voc_seg={"train": ["VOC2012/mine"], "labels": labels}, nyu_depth={"max_depth": 80})
    assert spec.section("voc_seg")["test"] == ["VOC2012/val"]
    assert spec.section("nyu_depth")["max_depth"] == 80


def test_official_voc_segmentation_is_laid_out_as_mmsegmentation_has_it(tmp_path):
    """SBD's labels for the list aug alone, VOC's own for train and val, where both folders know every image."""
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "ImageSets/Segmentation", "SegmentationClass", "SegmentationClassAug"):
        (home / folder).mkdir(parents=True)
    for number, split in enumerate(("train", "aug", "val")):
        (home / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(f"2007_{number}\n")
        (home / "JPEGImages" / f"2007_{number}.jpg").touch()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(home / "SegmentationClassAug" / f"2007_{number}.png")
    for number in (0, 2):
        Image.fromarray(np.ones((4, 4), np.uint8)).save(home / "SegmentationClass" / f"2007_{number}.png")
    spec = data_spec.read(tmp_path)
    found = manifest.read(spec, "voc_seg")
    assert [path.parent.name for path in found.train.labels] == ["SegmentationClass", "SegmentationClassAug"]
    assert [path.parent.name for path in found.test.labels] == ["SegmentationClass"]
    trained, tested = (datasets.config(spec, found, part, []) for part in ("train", "test"))
    read_from = [one["data_prefix"]["seg_map_path"] for one in (*trained["datasets"], tested)]
    assert read_from == [str(path.parent) for path in (*found.train.labels, *found.test.labels)]
