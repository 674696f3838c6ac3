"""Regions that people drew: BSDS's .mat files, COCO's instances, or images of labels (DetCon, Section 4.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pretrain.errors import DensebenchError
from pretrain.masks.planes import decode, from_masks


class Human:
    """Find the regions of an image in a folder of annotations or in a COCO file.

    Args:
        annotations: A folder with one `.mat` (BSDS) or `.png` (labels; 0 is no region) file an image, found by the
            image's stem, in any subfolder; or a COCO json of instances, found by the image's file name.

    Raises:
        DensebenchError: It is neither, or cannot be read.
    """

    def __init__(self, annotations: Path) -> None:
        self.annotations = annotations
        if annotations.is_dir():
            files = [path for path in sorted(annotations.rglob("*")) if path.suffix in (".mat", ".png")]
            self.files = {path.stem: path for path in files}
            self.instances: dict[str, list[Any]] = {}
            if not files:
                raise DensebenchError(f"There is no .mat or .png file under {annotations}.")
        else:
            self.files = {}
            self.instances = _instances(annotations)

    def __call__(self, path: Path, image: np.ndarray) -> np.ndarray | None:
        """Return the regions (P, H, W) of `image`, read at `path`, or None where nobody drew any.

        Raises:
            DensebenchError: The annotation cannot be read, or has another size than the image.
        """
        height, width = image.shape[:2]
        if path.name in self.instances:
            try:
                return from_masks([decode(segment, height, width) for segment in self.instances[path.name]])
            except ValueError as error:
                raise DensebenchError(f"{self.annotations}: {path.name} has {error}.") from error
        file = self.files.get(path.stem)
        if file is None:
            return None
        planes = _mat(file) if file.suffix == ".mat" else _png(file)
        if planes.shape[1:] != (height, width):
            found = "x".join(map(str, planes.shape[1:]))
            raise DensebenchError(f"{file} has {found} pixels, but {path} has {height}x{width}.")
        return planes


def _mat(file: Path) -> np.ndarray:
    """Return BSDS's segmentations, one plane an annotator, their ids apart."""
    from scipy.io import loadmat

    try:
        cells = loadmat(file)["groundTruth"][0]
        planes = [np.asarray(cell["Segmentation"][0, 0]).astype(np.int64) for cell in cells]
    except Exception as error:  # a damaged MATLAB file can raise anything
        raise DensebenchError(f"{file} is not a segmentation of BSDS: {' '.join(str(error).split())}.") from error
    starts = np.cumsum([0, *(plane.max() for plane in planes[:-1])])
    apart = [np.where(plane > 0, plane + start, 0) for plane, start in zip(planes, starts, strict=True)]
    return np.stack(apart).astype(np.uint16)


def _png(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            labels = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise DensebenchError(f"{file} cannot be read as an image of labels: {error}.") from error
    if labels.ndim != 2:
        raise DensebenchError(f"{file} is a colour image; one channel of labels (or a palette) was expected.")
    return labels.astype(np.uint16)[None]


def _instances(file: Path) -> dict[str, list[Any]]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        names = {image["id"]: str(image["file_name"]) for image in tree["images"]}
        found: dict[str, list[Any]] = {name: [] for name in names.values()}
        for annotation in tree["annotations"]:
            found[names[annotation["image_id"]]].append(annotation["segmentation"])
    except OSError as error:
        raise DensebenchError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DensebenchError(f"{file} is not a COCO file of instances ({type(error).__name__}: {error}).") from error
    return {name: segments for name, segments in found.items() if segments}
