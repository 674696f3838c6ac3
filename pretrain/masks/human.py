"""Regions that people drew: BSDS's .mat files, COCO's instances, or images of labels (DetCon, Section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pretrain.errors import DensebenchError, one_line
from pretrain.files import read_object
from pretrain.masks.lookup import entry_of
from pretrain.masks.planes import decode, from_masks
from pretrain.unreadable import UNREADABLE


class Human:
    """Find the regions of an image in folders of annotations or in COCO files.

    Args:
        annotations: Each is a folder with one `.mat` (BSDS) or `.png` file an image (labels; 0 is no region, nor is 255
            in 8 bits), found by the image's stem, in any subfolder, and of several by the folders that both have; or a
            COCO json of instances, found by the end of the image's path that it states. COCO files come before folders,
            else the first that has an image counts.

    Raises:
        DensebenchError: One is neither, or cannot be read.
    """

    def __init__(self, annotations: Sequence[Path]) -> None:
        self.files: dict[str, dict[str, Path]] = {}  # a stem's files, by their path in the folder without the suffix
        self.instances: dict[str, tuple[Path, list[Any]]] = {}
        for one in annotations:
            if not one.is_dir():
                segments = {name: (one, some) for name, some in _instances(one).items()}
                self.instances = {**segments, **self.instances}
                continue
            found: dict[str, dict[str, Path]] = {}
            for path in annotation_files(one):
                found.setdefault(path.stem, {})[path.relative_to(one).with_suffix("").as_posix()] = path
            self.files = {**found, **self.files}

    def __call__(self, path: Path, image: np.ndarray) -> np.ndarray | None:
        """Return the regions (P, H, W) of `image`, read at `path`, or None where nobody drew any.

        Raises:
            DensebenchError: The annotation cannot be read, or has another size than the image.
        """
        height, width = image.shape[:2]
        name = entry_of(path, self.instances)
        if name is not None:
            source, segments = self.instances[name]
            try:
                return from_masks([decode(segment, height, width) for segment in segments])
            except ValueError as error:
                raise DensebenchError(f"{source}: {name} has {error}.") from error
        if path.stem not in self.files:
            return None
        file = _of(path, self.files[path.stem])
        planes = _mat(file) if file.suffix == ".mat" else _png(file)
        if planes.shape[1:] != (height, width):
            found = "x".join(map(str, planes.shape[1:]))
            raise DensebenchError(f"{file} has {found} pixels, but {path} has {height}x{width}.")
        return planes


def annotation_files(folder: Path) -> list[Path]:
    """Return the `.mat` and `.png` files under a folder, in order.

    Raises:
        DensebenchError: There are none.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".mat", ".png")]
    if not files:
        raise DensebenchError(f"There is no .mat or .png file under {folder}.")
    return files


def _of(image: Path, files: Mapping[str, Path]) -> Path:
    """Return which of the files of an image's stem is its own: the one, or that with the longest end of its path."""
    if len(files) == 1:
        return next(iter(files.values()))
    name = entry_of(image.with_suffix(""), files)
    if name is None:
        one, other = sorted(map(str, files.values()))[:2]
        raise DensebenchError(
            f"{one} and {other} could both be the annotation of {image}.",
            "Name the folder of the images' own annotations, or give both trees the same subfolders.",
        )
    return files[name]


def _mat(file: Path) -> np.ndarray:
    """Return BSDS's segmentations, one plane an annotator, their ids apart."""
    from scipy.io import loadmat

    try:
        cells = loadmat(file)["groundTruth"][0]
        planes = np.stack([np.asarray(cell["Segmentation"][0, 0]).astype(np.int64) for cell in cells])
    except Exception as error:  # a damaged MATLAB file can raise anything
        raise DensebenchError(f"{file} is not a segmentation of BSDS: {one_line(error)}.") from error
    starts = np.cumsum([0, *planes.max(axis=(1, 2))[:-1]])
    return np.where(planes > 0, planes + starts[:, None, None], 0).astype(np.uint16)


def _png(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            labels = np.asarray(image)
    except UNREADABLE as error:
        raise DensebenchError(f"{file} cannot be read as an image of labels: {one_line(error)}.") from error
    if labels.ndim != 2:
        raise DensebenchError(f"{file} is a colour image; one channel of labels (or a palette) was expected.")
    # NOTE: VOC, Cityscapes and others write 255 where nobody said what there is, along the borders above all.
    return np.where((labels == 255) & (labels.dtype == np.uint8), 0, labels).astype(np.uint16)[None]


def _instances(file: Path) -> dict[str, list[Any]]:
    tree = read_object(file, what="a COCO file of instances", largest=None)
    try:
        names = {image["id"]: str(image["file_name"]) for image in tree["images"]}
        found: dict[str, list[Any]] = {name: [] for name in names.values()}
        for annotation in tree["annotations"]:
            found[names[annotation["image_id"]]].append(annotation["segmentation"])
    except (KeyError, TypeError) as error:
        raise DensebenchError(f"{file} is not a COCO file of instances ({type(error).__name__}: {error}).") from error
    return {name: segments for name, segments in found.items() if segments}
