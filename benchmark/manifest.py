"""What lies under a data root: which files a split names, whether they are there, and their hash."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data_spec import DataSpec
from benchmark.section import Section, label_folder
from pretrain.errors import DensebenchError

ROOT = "Is this the right data root? docs/data.md shows what should lie in it."


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        images: Its images, in the order of its lists.
        labels: One label file an image; for COCO the one annotation file.
        digest: sha256 over the lists and every label's bytes.
    """

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    digest: str


@dataclass(frozen=True)
class Manifest:
    """A checked data set: its classes and both splits.

    Attributes:
        data: The data set's section name ("voc_det").
        name: The specification's name.
        classes: The classes' names (none for depth).
        train: The training split.
        test: The test split.
        partial: A split holds fewer images than the official one.
    """

    data: str
    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    partial: bool

    def summary(self) -> dict[str, Any]:
        """Return what a record keeps of the data."""
        return {
            "data": self.data,
            "name": self.name,
            "classes": list(self.classes),
            **{
                name: {"images": len(split.images), "digest": split.digest}
                for name, split in (("train", self.train), ("test", self.test))
            },
        }


def read(spec: DataSpec, data: str) -> Manifest:
    """Check the data set `data` under a data root.

    Raises:
        DensebenchError: A list or annotation names a file that is missing, or a label names an unknown class.
    """
    root, section = spec.root, spec.section(data)
    readers: dict[str, Callable[[Path, Section, Any], Split]] = {
        "voc_det": _voc_boxes,
        "coco_det": _coco,
        "voc_seg": _voc_masks,
        "cityscapes_seg": _cityscapes,
        "nyu_depth": _nyu,
    }
    if data == "coco_det":
        section["classes"] = _coco_order(root, section)
    train, test = (readers[data](root, section, section[part]) for part in ("train", "test"))
    official = section["images"]
    partial = len(train.images) < official["train"] or len(test.images) < official["test"]
    classes = tuple(section.get("classes", ()))
    return Manifest(data, spec.name, classes, train, test, partial)


# What every entry of a COCO file must have, as mmdet reads it.
_COCO = {
    "categories": ("id", "name"),
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
}


def coco_annotations(root: Path, split: str) -> Path:
    """Return the annotation file of a COCO split."""
    return root / "coco" / "annotations" / f"instances_{split}.json"


def coco_classes(root: Path, split: str) -> list[str]:
    """Return the category names of a COCO split in the file's order, which is mmdet's order of labels."""
    return [category["name"] for category in _coco_lists(coco_annotations(root, split), "categories")[0]]


def _coco_lists(path: Path, *parts: str) -> list[list[dict[str, Any]]]:
    """Read lists of a COCO file, whose entries have what they must have."""
    content = _json(path)
    if not isinstance(content, dict):
        raise DensebenchError(
            f"{path} holds a {type(content).__name__}; an object with {', '.join(_COCO)} was expected.",
            "Is it an annotation file of COCO's?",
        )
    for part in parts:
        if not isinstance(content.get(part), list):
            raise DensebenchError(f"{path} has no list of {part}.", "Is it an annotation file of COCO's?")
        for number, entry in enumerate(content[part]):
            lacking = [key for key in _COCO[part] if key not in entry] if isinstance(entry, dict) else _COCO[part]
            if lacking:
                raise DensebenchError(f"{path}: entry {number} of its {part} has no '{lacking[0]}'.", "Correct it.")
    return [content[part] for part in parts]


def _coco_order(root: Path, section: Section) -> list[str]:
    """Return the section's classes in the order of both annotation files, which must agree."""
    train, test = (coco_classes(root, section[part]) for part in ("train", "test"))
    wanted = section.get("classes", train)
    if [name for name in train if name in wanted] != [name for name in test if name in wanted]:
        raise DensebenchError(
            f"{coco_annotations(root, section['train'])} and {section['test']} list their categories in other orders.",
            "Write both lists in one order.",
        )
    unknown = [name for name in wanted if name not in train]
    if unknown:
        raise DensebenchError(
            f"{coco_annotations(root, section['train'])} has no category '{unknown[0]}', which the specification names."
        )
    return [name for name in train if name in wanted]


def voc_list(root: Path, split: str, kind: str) -> Path:
    """Return the list file of a split such as "VOC2007/trainval"; kind is "Main" or "Segmentation"."""
    year, _, part = split.partition("/")
    return root / "VOCdevkit" / year / "ImageSets" / kind / f"{part}.txt"


def _voc_entries(root: Path, split: str, kind: str) -> list[tuple[Path, str]]:
    path = voc_list(root, split, kind)
    year = root / "VOCdevkit" / split.partition("/")[0]
    return [(year, line.split()[0]) for line in _text(path).splitlines() if line.strip()]


def _voc_boxes(root: Path, section: Section, splits: list[str]) -> Split:
    entries = [entry for split in splits for entry in _voc_entries(root, split, "Main")]
    images = [year / "JPEGImages" / f"{stem}.jpg" for year, stem in entries]
    labels = [year / "Annotations" / f"{stem}.xml" for year, stem in entries]
    split = _split(root, images, labels, f"the lists {', '.join(splits)}")
    known = set(section["classes"])
    for label in labels:
        for node in _xml(label).findall("object/name"):
            if node.text not in known:
                raise DensebenchError(
                    f"{label} has an object of the class '{node.text}', which is none of the {len(known)} classes.",
                    "Correct the label, or name the class in the data specification.",
                )
    return split


def _voc_masks(root: Path, section: Section, splits: list[str]) -> Split:
    entries = [
        (year, stem, label_folder(section, split))
        for split in splits
        for year, stem in _voc_entries(root, split, "Segmentation")
    ]
    images = [year / "JPEGImages" / f"{stem}.jpg" for year, stem, _ in entries]
    labels = [year / folder / f"{stem}.png" for year, stem, folder in entries]
    return _split(root, images, labels, f"the lists {', '.join(splits)}")


def _coco(root: Path, section: Section, split: str) -> Split:
    path = coco_annotations(root, split)
    described, pictures, annotations = _coco_lists(path, *_COCO)
    folder = root / "coco" / split
    categories = {category["id"]: category["name"] for category in described}
    identifiers = {image["id"] for image in pictures}
    for annotation in annotations:
        number, category = annotation["id"], categories.get(annotation["category_id"])
        if category not in section["classes"]:
            raise DensebenchError(
                f"{path}: annotation {number} has the category {annotation['category_id']}, which is no class.",
                "Correct the annotation, or name the class in the data specification.",
            )
        if annotation["image_id"] not in identifiers:
            raise DensebenchError(f"{path}: annotation {number} belongs to no image of the file.")
    images = [folder / image["file_name"] for image in pictures]
    return _split(root, images, [path], str(path))


def _cityscapes(root: Path, section: Section, split: str) -> Split:
    folder = root / "cityscapes" / "leftImg8bit" / split
    images = sorted(folder.rglob("*_leftImg8bit.png"))
    truth = root / "cityscapes" / "gtFine" / split
    labels = [
        truth / image.parent.relative_to(folder) / image.name.replace("_leftImg8bit", "_gtFine_labelTrainIds")
        for image in images
    ]
    return _split(root, images, labels, str(folder))


def _nyu(root: Path, section: Section, split: str) -> Split:
    folder = root / "nyu" / "images" / split
    images = sorted(folder.rglob("*.jpg"))
    truth = root / "nyu" / "annotations" / split
    labels = [(truth / image.relative_to(folder)).with_suffix(".png") for image in images]
    return _split(root, images, labels, str(folder))


def _split(root: Path, images: list[Path], labels: list[Path], source: str) -> Split:
    if not images:
        raise DensebenchError(f"There are no images: {source} names none.", ROOT)
    for kind, paths in (("image", images), ("label", labels)):
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DensebenchError(
                f"{missing[0]} is missing: {source} names {len(paths)} {kind} files, {len(missing)} are not there.",
                "Complete the data set as docs/data.md shows, or shorten the list.",
            )
    return Split(tuple(images), tuple(labels), _digest(root, images, labels))


def _digest(root: Path, images: Iterable[Path], labels: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for image in images:
        total.update(f"{image.relative_to(root)}\n".encode())
    for label in labels:
        total.update(f"{label.relative_to(root)}\n".encode())
        total.update(hashlib.sha256(label.read_bytes()).digest())
    return total.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise DensebenchError(f"{path} could not be read: {error.strerror}.", ROOT) from error
    except UnicodeDecodeError as error:
        raise DensebenchError(f"{path} is no text, as it should be.", "Copy it anew.") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise DensebenchError(f"{path} is not valid JSON: {error}.") from error


def _xml(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two of an unknown encoding
        raise DensebenchError(f"{path} is not valid XML: {error}.", "Copy it anew.") from error


def as_text(manifest: Manifest) -> str:
    """Describe a manifest in one line."""
    partial = ", fewer than the official set" if manifest.partial else ""
    counts = f"{len(manifest.train.images)} training and {len(manifest.test.images)} test images"
    return f"{manifest.data}: {counts}, {len(manifest.classes)} classes{partial}"
