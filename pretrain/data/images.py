"""Images for pretraining: a folder, a list file, a scenes data root, or several of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pretrain.data import jpeg
from pretrain.errors import DensebenchError, one_line
from pretrain.files import read_object
from pretrain.masks.store import Store
from pretrain.method import Labels, Sample
from pretrain.unreadable import UNREADABLE

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff"})
SPEC = "densebench.json"


@dataclass(frozen=True)
class Source:
    """The images of one place, in a fixed order.

    Attributes:
        name: The place, as one would call the data set.
        paths: The image files.
        labels: What the labels mean, or None.
        targets: One a path: a class index, or the indices of the classes present; empty without labels.
    """

    name: str
    paths: tuple[Path, ...]
    labels: Labels | None = None
    targets: tuple[int | tuple[int, ...], ...] = ()


def find(images: str) -> Source:
    """Find the images at `images`: one place, or several joined by ':' (by ';' on Windows).

    A place is a folder (searched recursively; its subfolders are classes when every image lies in one), a
    text file with one path a line (relative to the file's folder), or a data root with a densebench.json
    whose "pretrain" block names such a list. Several places have no labels.

    Raises:
        DensebenchError: A place or a listed file does not exist, or there is no image.
    """
    places = [images] if Path(images).exists() else images.split(os.pathsep)
    sources = [_find(Path(place)) for place in places if place]
    if not sources:
        raise DensebenchError("No place with images was given.", "Name a folder, a list file or a data root.")
    if len(sources) == 1:
        return sources[0]
    paths = tuple(path for source in sources for path in source.paths)
    return Source("+".join(source.name for source in sources), paths)


class Images:
    """Read samples by index.

    Args:
        source: The images.
        skip_unreadable: Take the next readable image in place of one that cannot be read, and remember it in
            `unreadable`; otherwise such an image is an error.
        regions: Where the images' regions are; None leaves the samples without masks.

    Attributes:
        unreadable: One flag an image, in memory shared with the loader's workers.
    """

    def __init__(self, source: Source, skip_unreadable: bool = False, regions: Store | None = None) -> None:
        self.source = source
        self.regions = regions
        self.skip_unreadable = skip_unreadable
        flags: Any = torch.zeros(len(source.paths), dtype=torch.bool)
        self.unreadable: Tensor = flags.share_memory_()

    def __len__(self) -> int:
        return len(self.source.paths)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample, whose `index` is that of the image really read.

        Raises:
            DensebenchError: The image cannot be read, or none can.
        """
        for candidate in (*range(index, len(self)), *range(index)):
            try:
                image = read(self.source.paths[candidate])
            except DensebenchError:
                if not self.skip_unreadable:
                    raise
                self.unreadable[candidate] = True
                continue
            masks = None if self.regions is None else self.regions.read(self.source.paths[candidate])
            if masks is not None and masks.shape[1:] != image.shape[:2]:
                raise DensebenchError(
                    f"{self.source.paths[candidate]} has another size than its regions.", "Make the regions anew."
                )
            return Sample(image, candidate, self._label(candidate), masks)
        raise DensebenchError(f"None of the {len(self)} images of {self.source.name} can be read.")

    def skipped(self) -> list[Path]:
        """Return the images found unreadable so far."""
        return [self.source.paths[index] for index in self.unreadable.nonzero().flatten().tolist()]

    def _label(self, index: int) -> int | np.ndarray | None:
        if self.source.labels is None:
            return None
        target = self.source.targets[index]
        if isinstance(target, int):
            return target
        present = np.zeros(len(self.source.labels.classes), dtype=np.float32)
        present[list(target)] = 1
        return present


def read(path: Path) -> np.ndarray:
    """Read an image as RGB, uint8, (H, W, 3).

    Raises:
        DensebenchError: The file is missing, truncated or no image.
    """
    try:
        found = jpeg.decode(path.read_bytes()) if path.suffix.lower() in (".jpg", ".jpeg") else None
        if found is not None:
            return found
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise DensebenchError(
            f"{path} cannot be read as an image: {one_line(error)}.",
            "Replace or remove it, or pass --skip-unreadable.",
        ) from error


def _find(place: Path) -> Source:
    if (place / SPEC).is_file():
        return _from_root(place)
    if place.is_dir():
        return _from_folder(place)
    if place.is_file():
        return Source(place.stem, _listed(place))
    raise DensebenchError(f"There are no images at {place}: it does not exist.", "Name a folder or a list file.")


def _from_folder(folder: Path) -> Source:
    paths = tuple(sorted(path for path in _files(folder) if path.suffix.lower() in SUFFIXES))
    if not paths:
        raise DensebenchError(f"There is no image under {folder}.", f"Expected are {', '.join(sorted(SUFFIXES))}.")
    classes = [path.relative_to(folder).parts[0] for path in paths]
    names = sorted(set(classes))
    if len(names) < 2 or any(path.parent == folder for path in paths):
        return Source(_name(folder), paths)
    number = {name: index for index, name in enumerate(names)}
    targets = tuple(number[name] for name in classes)
    return Source(_name(folder), paths, Labels(tuple(names), multi=False), targets)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files under a folder, also behind links; what a link leads back to, once.

    Raises:
        DensebenchError: A folder cannot be read: its images would be missing.
    """

    def refuse(error: OSError) -> None:
        raise DensebenchError(
            f"{error.filename} cannot be read: {error.strerror}.", "Check that you may read it, or remove it."
        ) from error

    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(parent, name) for name in names)


def _from_root(root: Path) -> Source:
    file = root / SPEC
    spec = read_object(file)
    block = spec.get("pretrain")
    if not isinstance(block, dict) or "images" not in block:
        raise DensebenchError(f'{file} has no "pretrain" block with "images".', "Give the images' folder instead.")
    listing = root / str(block["images"])
    paths = _listed(listing, root)
    name = str(spec.get("name", root.resolve().name))
    if "labels" not in block:
        return Source(name, paths)
    if not isinstance(block.get("classes"), list):
        raise DensebenchError(f'{file} has a "pretrain" block with "labels", but without a list of "classes".')
    classes = tuple(str(item) for item in block["classes"])
    names = (path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths)
    targets = _targets(root / str(block["labels"]), names, classes)
    return Source(name, paths, Labels(classes, multi=True), targets)


def _listed(listing: Path, root: Path | None = None) -> tuple[Path, ...]:
    if not listing.is_file():
        raise DensebenchError(f"The list of images {listing} does not exist.")
    try:
        lines = listing.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DensebenchError(f"{listing} is neither a folder nor a list of images (it is no text).") from error
    folder = root or listing.parent
    paths = tuple(folder / line.strip() for line in lines if line.strip())
    missing = [path for path in paths if not path.is_file()]
    mend = f"A list of images has one path a line, absolute or relative to {folder.resolve()}."
    if len(missing) == 1:
        raise DensebenchError(f"{listing} names 1 file that does not exist: {missing[0]}.", mend)
    if missing:
        found = f"{listing} names {len(missing)} files that do not exist, the first is {missing[0]}."
        raise DensebenchError(found, mend)
    if not paths:
        raise DensebenchError(f"{listing} names no image.", mend)
    return paths


def _targets(file: Path, names: Iterable[str], classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    table = read_object(file, largest=None)
    targets = []
    for name in names:
        if name not in table:
            raise DensebenchError(f"{file} has no labels for {name}.")
        target = table[name]
        if not isinstance(target, list) or not all(isinstance(i, int) and 0 <= i < len(classes) for i in target):
            raise DensebenchError(f"{file}: the labels of {name} are {target}; 0..{len(classes) - 1} are expected.")
        targets.append(tuple(target))
    return tuple(targets)


def _name(folder: Path) -> str:
    """Return what one calls the images in a folder; "imagenet/train" rather than "train"."""
    whole = folder.resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name in ("train", "val", "test", "images") else whole.name
