"""What is said of one data set: its classes, splits and labels. The official ones, and the check of others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Section = dict[str, Any]

VOC_CLASSES = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]
CITYSCAPES_CLASSES = [
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
]
# The official sets. `images` counts what an official training and test set hold; fewer mark a record `partial`.
OFFICIAL: dict[str, Section] = {
    "voc_det": {
        "classes": VOC_CLASSES,
        "train": ["VOC2007/trainval", "VOC2012/trainval"],
        "test": ["VOC2007/test"],
        "images": {"train": 16551, "test": 4952},
    },
    "coco_det": {"train": "train2017", "test": "val2017", "images": {"train": 118287, "test": 5000}},
    "voc_seg": {
        "classes": ["background", *VOC_CLASSES],
        "train": ["VOC2012/train", "VOC2012/aug"],
        "test": ["VOC2012/val"],
        "labels": {  # as mmsegmentation's pascal_voc12_aug.py: SBD's labels where VOC has none, never to test on
            "VOC2012/train": "SegmentationClass",
            "VOC2012/aug": "SegmentationClassAug",
            "VOC2012/val": "SegmentationClass",
        },
        "images": {"train": 10582, "test": 1449},
    },
    "cityscapes_seg": {
        "classes": CITYSCAPES_CLASSES,
        "train": "train",
        "test": "val",
        "images": {"train": 2975, "test": 500},
    },
    "nyu_depth": {
        "train": "train",
        "test": "test",
        "max_depth": 10.0,
        "images": {"train": 24231, "test": 654},
    },
}


def label_folder(section: Section, split: str) -> str:
    """Return the folder of a VOC list's class maps."""
    labels = section["labels"]
    return str(labels if isinstance(labels, str) else labels[split])


def check(data: str, section: Any) -> None:
    """Hold a section of a specification to its keys and their kinds.

    Raises:
        ValueError: A clause that says which key is unknown, of another kind, or lacks a label folder.
    """
    if not isinstance(section, dict):
        raise ValueError(f"its section '{data}' is no object")
    official = OFFICIAL[data]
    known = {*official, "classes"} if data != "nyu_depth" else set(official)
    for key, value in section.items():
        if key not in known:
            raise ValueError(f"its section '{data}' has the key '{key}', which is none of {', '.join(sorted(known))}")
        kind, fits = _LISTS if key in ("train", "test") and data.startswith("voc") else _KINDS[key]
        if not fits(value):
            raise ValueError(f"{key} of its section '{data}' should be {kind}, and is {value!r}")
    if data == "voc_seg":
        whole = {**official, **section}
        for split in (*whole["train"], *whole["test"]):
            if not isinstance(whole["labels"], str) and split not in whole["labels"]:
                raise ValueError(f"labels of its section '{data}' names no folder for the list {split}")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value)) and len(set(value)) == len(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_depth(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _are_lists(value: Any) -> bool:
    return _are_names(value) and all(all(name.partition("/")) for name in value)


def _are_folders(value: Any) -> bool:
    return _is_name(value) or (isinstance(value, dict) and all(map(_is_name, value.values())))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"train", "test"} and all(map(_is_count, value.values()))


_Kind = tuple[str, Callable[[Any], bool]]
_LISTS: _Kind = ('a list such as ["VOC2012/train"]', _are_lists)
_FOLDER: _Kind = ("the name of a folder", _is_name)
_KINDS: dict[str, _Kind] = {
    "classes": ("a list of names, all different", _are_names),
    "train": _FOLDER,
    "test": _FOLDER,
    "labels": ('a folder, or one for each list such as {"VOC2012/train": "SegmentationClass"}', _are_folders),
    "max_depth": ("a number of metres above 0", _is_depth),
    "images": ('how many make a whole set, such as {"train": 800, "test": 200}', _are_counts),
}
