"""Verify data before any compute: every file that a list names is there, and images and labels can be read."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from benchmark import data_spec, manifest, task
from pretrain.errors import DensebenchError
from pretrain.unreadable import UNREADABLE

LABEL_IMAGES = ("voc_seg", "cityscapes_seg", "nyu_depth")  # data whose labels are one image each
NO_CLASS = 255


def unreadable(images: Iterable[Path]) -> list[Path]:
    """Return the images that cannot be decoded to the last byte, in their order."""
    paths = list(images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [path for path, damaged in zip(paths, pool.map(_is_damaged, paths), strict=True) if damaged]


def _is_damaged(path: Path) -> bool:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
    except UNREADABLE:
        return True
    return False


def faulty_labels(found: manifest.Manifest) -> list[tuple[Path, str]]:
    """Return the label images that a task could not be trained or measured on, and why; none of boxes.

    A class map has one channel of class indices, 255 where there is none; a depth map one channel of 16 bits.
    """
    if found.data not in LABEL_IMAGES:
        return []
    images = [*found.train.images, *found.test.images]
    labels = [*found.train.labels, *found.test.labels]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = pool.map(_fault, images, labels, itertools.repeat(len(found.classes)))
        return [(label, fault) for label, fault in zip(labels, faults, strict=True) if fault]


def _fault(image: Path, label: Path, classes: int) -> str:
    """Say what is wrong with a label image; without classes it is one of depth."""
    try:
        with Image.open(image) as photo:
            size = photo.size
        with Image.open(io.BytesIO(label.read_bytes())) as pixels:
            pixels.load()
            if pixels.size != size:
                return f"is of {pixels.width}x{pixels.height} pixels, its image of {size[0]}x{size[1]}"
            if not classes:
                deep = pixels.mode.startswith("I")
                return "" if deep else f"is no depth map of 16 bits, but of the mode {pixels.mode}"
            if pixels.mode not in ("L", "P"):
                return f"is no map of class indices, but of the mode {pixels.mode}"
            strange = [value for value, count in enumerate(pixels.histogram()[:NO_CLASS]) if count and value >= classes]
    except UNREADABLE:
        return "is not a readable image"
    return f"has the class {strange[0]}, but there are {classes} classes, from 0" if strange else ""


def check(
    root: Path,
    tasks: Sequence[str] = (),
    specification: Path | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Check the data of `tasks` (of all of them when empty), and describe what is there.

    Args:
        root: The data root.
        tasks: Names of tasks.
        specification: A data specification.
        tell: Receives one line a data set.

    Raises:
        DensebenchError: A data set is incomplete, an image or a label damaged, or none of the data is there.
    """
    spec = data_spec.read(root, specification)
    wanted = sorted({task.load(name).data for name in tasks}) or _present(spec)
    for data in wanted:
        found = manifest.read(spec, data)
        damaged = unreadable([*found.train.images, *found.test.images])
        if damaged:
            raise DensebenchError(
                f"{damaged[0]} is not a readable image ({len(damaged)} such files in {data}).",
                "Restore it; `densebench run --skip-unreadable` leaves damaged training images out.",
            )
        faults = faulty_labels(found)
        if faults:
            label, fault = faults[0]
            raise DensebenchError(f"{label} {fault} ({len(faults)} such labels in {data}).", "Restore it.")
        tell(manifest.as_text(found))


def _present(spec: data_spec.DataSpec) -> list[str]:
    folders = {"voc_det": "VOCdevkit", "coco_det": "coco", "voc_seg": "VOCdevkit"}
    folders |= {"cityscapes_seg": "cityscapes", "nyu_depth": "nyu"}
    present = [data for data, folder in folders.items() if (spec.root / folder).is_dir()]
    if not present:
        raise DensebenchError(
            f"{spec.root} holds none of {', '.join(sorted(set(folders.values())))}.",
            "Is this the right data root?",
        )
    return present
