"""The mmdet and mmseg data set configs of a checked data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark import manifest
from benchmark.data_spec import DataSpec
from benchmark.section import label_folder

Config = dict[str, Any]


def config(spec: DataSpec, found: manifest.Manifest, part: str, pipeline: list[Config]) -> Config:
    """Return the config of one split.

    Args:
        spec: The data root and its specification.
        found: The checked data set.
        part: "train" or "test".
        pipeline: The task's transforms.
    """
    section = spec.section(found.data)
    common: Config = {"pipeline": pipeline, "test_mode": part == "test"}
    if found.classes:
        common["metainfo"] = {"classes": found.classes, "palette": palette(len(found.classes))}
    builders: dict[str, Callable[[DataSpec, Config, Any, Config], Config]] = {
        "voc_det": _voc_boxes,
        "coco_det": _coco,
        "voc_seg": _voc_masks,
        "cityscapes_seg": _cityscapes,
        "nyu_depth": _nyu,
    }
    return builders[found.data](spec, section, section[part], common)


def palette(classes: int) -> list[tuple[int, int, int]]:
    """Return PASCAL VOC's colours: the bits of the class index spread over the bits of red, green and blue."""
    colours = []
    for index in range(classes):
        bits = [sum((index >> (3 * step + channel) & 1) << (7 - step) for step in range(3)) for channel in range(3)]
        colours.append((bits[0], bits[1], bits[2]))
    return colours


def _voc_boxes(spec: DataSpec, section: Config, splits: list[str], common: Config) -> Config:
    parts = []
    for split in splits:
        year = split.partition("/")[0]
        parts.append(
            {
                "type": "mmdet.VOCDataset",
                "data_root": str(spec.root / "VOCdevkit"),
                "ann_file": str(manifest.voc_list(spec.root, split, "Main")),
                "data_prefix": {"sub_data_root": f"{year}/"},
                "filter_cfg": {"filter_empty_gt": True},
                **common,
            }
        )
    return parts[0] if len(parts) == 1 else {"type": "mmdet.ConcatDataset", "datasets": parts}


def _coco(spec: DataSpec, section: Config, split: str, common: Config) -> Config:
    return {
        "type": "mmdet.CocoDataset",
        "ann_file": str(manifest.coco_annotations(spec.root, split)),
        "data_prefix": {"img": str(spec.root / "coco" / split)},
        "filter_cfg": {"filter_empty_gt": True},
        **common,
    }


def _voc_masks(spec: DataSpec, section: Config, splits: list[str], common: Config) -> Config:
    parts = []
    for split in splits:
        year = spec.root / "VOCdevkit" / split.partition("/")[0]
        parts.append(
            {
                "type": "mmseg.BaseSegDataset",  # its VOC class knows the official classes only
                "ann_file": str(manifest.voc_list(spec.root, split, "Segmentation")),
                "data_prefix": {
                    "img_path": str(year / "JPEGImages"),
                    "seg_map_path": str(year / label_folder(section, split)),
                },
                **common,
            }
        )
    return parts[0] if len(parts) == 1 else {"type": "ConcatDataset", "datasets": parts}


def _cityscapes(spec: DataSpec, section: Config, split: str, common: Config) -> Config:
    root = spec.root / "cityscapes"
    return {
        "type": "mmseg.BaseSegDataset",
        "img_suffix": "_leftImg8bit.png",
        "seg_map_suffix": "_gtFine_labelTrainIds.png",
        "data_prefix": {
            "img_path": str(root / "leftImg8bit" / split),
            "seg_map_path": str(root / "gtFine" / split),
        },
        **common,
    }


def _nyu(spec: DataSpec, section: Config, split: str, common: Config) -> Config:
    root = spec.root / "nyu"
    prefix = {"img_path": str(root / "images" / split), "depth_map_path": str(root / "annotations" / split)}
    return {"type": "mmseg.NYUDataset", "data_prefix": prefix, **common}
