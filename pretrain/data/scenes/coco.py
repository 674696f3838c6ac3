"""The scenes as COCO: coco/{train,val}2017 and instances_{train,val}2017.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.data.scenes.labels import Mask, outline, runs, tight_box
from pretrain.data.scenes.render import Scene
from pretrain.data.scenes.spec import CLASSES, COCO_IDS

SPLITS = {"train": "train2017", "val": "val2017"}
FIRST_ID = {"train": 1, "val": 5_000_001}


def image_id(pool: str, index: int) -> int:
    """The id of a scene's image; unique over both splits."""
    return FIRST_ID[pool] + index


def file_name(pool: str, index: int) -> str:
    """The name of a scene's image in the split's folder."""
    return f"{image_id(pool, index):012d}.jpg"


def folders() -> list[str]:
    """The folders that the layout needs."""
    return ["coco/annotations", *(f"coco/{split}" for split in SPLITS.values())]


def annotate(pool: str, index: int, scene: Scene) -> list[dict[str, Any]]:
    """The annotations of a scene, still without ids: objects one by one, its group as one crowd region."""
    things = list(enumerate(scene.things, 1))
    found = [_annotation(scene.instance == n, thing.label, 0) for n, thing in things if not thing.crowd]
    group = [n for n, thing in things if thing.crowd]
    if group:
        region = np.isin(scene.instance, group)
        found.append(_annotation(region, scene.things[group[0] - 1].label, 1))
    return [{"image_id": image_id(pool, index), **annotation} for annotation in found]


def write_annotations(root: Path, pool: str, size: int, scenes: Sequence[list[dict[str, Any]]]) -> None:
    """Write a split's JSON file from the annotations of its scenes, in order."""
    flat = [annotation for scene in scenes for annotation in scene]
    first = FIRST_ID[pool]
    content = {
        "info": {"description": "densebench scenes"},
        "licenses": [],
        "images": [
            {"id": image_id(pool, k), "file_name": file_name(pool, k), "height": size, "width": size}
            for k in range(len(scenes))
        ],
        "annotations": [{"id": first + k, **annotation} for k, annotation in enumerate(flat)],
        "categories": [
            {"id": number, "name": name, "supercategory": "object"}
            for number, name in zip(COCO_IDS, CLASSES, strict=True)
        ],
    }
    path = root / "coco" / "annotations" / f"instances_{SPLITS[pool]}.json"
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _annotation(mask: Mask, label: int, crowd: int) -> dict[str, Any]:
    box = tight_box(mask)
    polygon = None if crowd else outline(mask, box)
    runs_of = {"size": list(mask.shape), "counts": runs(mask)}
    return {
        "category_id": COCO_IDS[label],
        "iscrowd": crowd,
        "area": int(mask.sum()),
        "bbox": [box.left, box.top, box.right - box.left, box.bottom - box.top],
        "segmentation": runs_of if polygon is None else [polygon],
    }
