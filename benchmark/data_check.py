"""Verify data before any compute: every file that a list names is there, and images and labels can be read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from benchmark import data_spec, manifest, task
from benchmark.progress import counting
from pretrain.cores import cores
from pretrain.errors import DensebenchError
from pretrain.unreadable import UNREADABLE

LABEL_IMAGES = ("voc_seg", "cityscapes_seg", "nyu_depth")  # data whose labels are one image each
NO_CLASS = 255
FEW = 5  # faults that are told of each data set; the others are counted
UNREAD = "is not a readable image"
Look = tuple[Path, Callable[[], str]]
"""A file, and what says what is wrong with it (nothing when all is well)."""


def unreadable(images: Iterable[Path]) -> list[Path]:
    """Return the images that cannot be decoded to the last byte, in their order."""
    return [path for path, _ in _faulty([(path, partial(_image_fault, path)) for path in images])]


def faulty(found: manifest.Manifest, progress: Callable[[int, int], None] | None = None) -> list[tuple[Path, str]]:
    """Return the files of a data set that a task could not be trained or measured on, and why.

    Every image is decoded, and every label that is an image: a class map has one channel of class indices, 255 where
    there is none; a depth map one channel of 16 bits.

    Args:
        found: The data set.
        progress: Called with the files looked at and their total.
    """
    images = [*found.train.images, *found.test.images]
    looks: list[Look] = [(image, partial(_image_fault, image)) for image in images]
    if found.data in LABEL_IMAGES:
        labels = [*found.train.labels, *found.test.labels]
        classes = len(found.classes)
        looks += [
            (label, partial(_label_fault, image, label, classes)) for image, label in zip(images, labels, strict=True)
        ]
    return _faulty(looks, progress)


def _faulty(looks: Sequence[Look], progress: Callable[[int, int], None] | None = None) -> list[tuple[Path, str]]:
    faults = []
    with ThreadPoolExecutor(cores()) as pool:
        for done, fault in enumerate(pool.map(lambda look: look[1](), looks), 1):
            if fault:
                faults.append((looks[done - 1][0], fault))
            if progress is not None:
                progress(done, len(looks))
    return faults


def _image_fault(path: Path) -> str:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
    except UNREADABLE:
        return UNREAD
    return ""


def _label_fault(image: Path, label: Path, classes: int) -> str:
    """Say what is wrong with a label image; without classes it is one of depth."""
    try:
        with Image.open(image) as photo:
            size = photo.size
    except UNREADABLE:
        return ""  # that is the image's fault
    try:
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
        return UNREAD
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
        tell: Receives one line a data set that is whole.

    Raises:
        DensebenchError: A data set is incomplete, an image or a label damaged, or none of the data is there; it tells
            the first faults of every data set.
    """
    spec = data_spec.read(root, specification)
    wanted = sorted({task.load(name).data for name in tasks}) or _present(spec)
    told: list[str] = []
    for data in wanted:
        try:
            found = manifest.read(spec, data)
        except DensebenchError as error:
            told.append(f"{data}: {error}")
            continue
        with counting(data) as progress:
            faults = faulty(found, progress)
        told += [f"{data}: {path} {fault}." for path, fault in faults[:FEW]]
        if len(faults) > FEW:
            told.append(f"{data}: and {len(faults) - FEW} more such files.")
        if not faults:
            tell(manifest.as_text(found))
    if told:
        raise DensebenchError(
            "\n".join(["The data is not whole.", *told]),
            "Restore these files; `densebench run --skip-unreadable` leaves damaged training images out.",
        )


def _present(spec: data_spec.DataSpec) -> list[str]:
    present = [data for data, folder in data_spec.FOLDERS.items() if (spec.root / folder).is_dir()]
    if not present:
        raise DensebenchError(
            f"{spec.root} holds none of {', '.join(sorted(set(data_spec.FOLDERS.values())))}.",
            manifest.ROOT,
        )
    return present
