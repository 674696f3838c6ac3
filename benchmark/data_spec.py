"""Where a data set's classes, splits and labels are: the official layout, or what `densebench.json` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.errors import DensebenchError
from pretrain.files import read_object

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
OFFICIAL: dict[str, dict[str, Any]] = {
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
        "labels": "SegmentationClassAug",
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


@dataclass(frozen=True)
class DataSpec:
    """A data root and how its data sets differ from the official ones.

    Attributes:
        root: The folder that holds `VOCdevkit/ coco/ cityscapes/ nyu/`, resolved.
        name: The data's name in records ("official" without a specification).
        sections: One section a data set, as in `OFFICIAL`.
        generator: How embedded data was made, where it was.
    """

    root: Path
    name: str
    sections: dict[str, dict[str, Any]]
    generator: dict[str, Any] = field(default_factory=dict)

    def section(self, data: str) -> dict[str, Any]:
        """Return the section of the data set `data`, its gaps filled with the official values."""
        return {**OFFICIAL[data], **self.sections.get(data, {})}


def read(root: Path, specification: Path | None = None) -> DataSpec:
    """Read the specification of the data under `root`.

    Args:
        root: The data root.
        specification: A JSON file; by default `root/densebench.json` where it exists.

    Raises:
        DensebenchError: The root does not exist, or the specification is not one.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DensebenchError(
            f"The data root {root} {what}.",
            "Name the folder that holds VOCdevkit, coco, cityscapes or nyu, or make data with "
            f"`densebench data scenes {'FOLDER' if root.exists() else root}`.",
        )
    root = root.resolve()  # a loader's paths and the manifest's are compared as text
    path = specification or root / "densebench.json"
    if specification is None and not path.is_file():
        return DataSpec(root, "official", {})
    what = "a data specification"
    mend = 'It needs {"schema": 1, "name": ..., and a section for each data set that is not official}.'
    content = read_object(path, what=what, mend=mend)
    try:
        for key, kind in (("schema", int), ("name", str)):
            if not isinstance(content.get(key), kind):
                raise ValueError(f"its '{key}' is of another kind" if key in content else f"it has no '{key}'")
        if content["schema"] != 1:
            raise ValueError("its schema is not 1")
        sections = {key: content[key] for key in OFFICIAL if key in content}
        odd = next((key for key, part in sections.items() if not isinstance(part, dict)), None)
        if odd is not None:
            raise ValueError(f"its section '{odd}' is no object")
    except ValueError as error:
        raise DensebenchError(f"{path} is not {what}: {error}.", mend) from error
    unfamiliar = set(content) - {"schema", "name", "generator", "pretrain", *OFFICIAL}
    if unfamiliar:
        raise DensebenchError(
            f"{path} has the unknown section '{min(unfamiliar)}'.",
            f"Sections: {', '.join(OFFICIAL)}.",
        )
    return DataSpec(root, content["name"], sections, content.get("generator", {}))
