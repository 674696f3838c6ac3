"""Finding the regions of a data set's images: in parallel, once, and resumable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.claim import claim
from pretrain.data.images import find, read
from pretrain.errors import DensebenchError, UsageError, unknown
from pretrain.masks.felzenszwalb import felzenszwalb
from pretrain.masks.grid import grid
from pretrain.masks.human import Human, annotation_files
from pretrain.masks.proposals import Proposals
from pretrain.masks.store import Store
from pretrain.processes import mapped

KINDS = ("fh", "grid", "human", "proposals")
Finder = Callable[[Path, np.ndarray], np.ndarray | None]
PORTION = 16  # images that a process works on before they are kept


@dataclass(frozen=True)
class Options:
    """How regions are found.

    Attributes:
        cells: Cells in a row and in a column of the grid.
        scale: k of Felzenszwalb and Huttenlocher.
        min_size: Their smallest region, in pixels.
        sigma: Their blur.
        sources: The annotations (`Human`), or the one file of proposals (`Proposals`).
    """

    cells: int = 7
    scale: float = 1000.0
    min_size: int = 1000
    sigma: float = 0.8
    sources: tuple[Path, ...] = ()


def make(
    images: str,
    kind: str,
    out: Path,
    options: Options,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Find the regions of every image and keep them in one file; a file that is not complete is completed.

    Args:
        images: See `pretrain.data.images.find`.
        kind: One of `KINDS`.
        out: The file; see `Store`.
        options: What the kind needs of them.
        workers: Processes.
        progress: Called with (images done, images in all).

    Returns:
        The number of images, and of those without any region.

    Raises:
        UsageError: There is no such kind, an option is missing or too many, `out` is a folder, or the file holds
            other regions.
        DensebenchError: An image or an annotation cannot be read, or another process completes the file.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder; a file was expected.", "Choose another --out.")
    finder, settings = _finder(kind, options)
    paths = tuple(dict.fromkeys(find(images).paths))
    with claim(out):
        store = Store.create(out, settings)
        known = store.known()
        todo = [path for path in paths if store.key(path) not in known]
        portions = [todo[start : start + PORTION] for start in range(0, len(todo), PORTION)]
        done = len(paths) - len(todo)
        for portion, regions in zip(portions, mapped(partial(_regions, finder), portions, workers), strict=True):
            store.write(zip(map(store.key, portion), regions, strict=True))
            done += len(portion)
            if progress is not None:
                progress(done, len(paths))
        return len(paths), store.without(paths)


def _finder(kind: str, options: Options) -> tuple[Finder, dict[str, Any]]:
    """Return what finds the regions, and what decides them, for the file."""
    if kind in ("grid", "fh") and options.sources:
        raise UsageError(f"Regions of the kind '{kind}' are found in the images alone.", "Leave out --source.")
    if kind == "grid":
        return partial(_seen, partial(grid, cells=options.cells)), {"kind": kind, "cells": options.cells}
    if kind == "fh":
        settings: dict[str, Any] = {"scale": options.scale, "min_size": options.min_size, "sigma": options.sigma}
        return partial(_seen, partial(felzenszwalb, **settings)), {"kind": kind, **settings}
    if kind not in KINDS:
        raise unknown("kind of regions", kind, KINDS)
    if kind == "human" and options.sources:
        return Human(options.sources), {"kind": kind, **_named(options.sources)}
    if kind == "proposals" and len(options.sources) == 1:
        return Proposals(options.sources[0]), {"kind": kind, **_named(options.sources)}
    what = "annotations" if kind == "human" else "one file of proposals"
    raise UsageError(f"Regions of the kind '{kind}' are read from {what}.", "Name them with --source.")


def _named(sources: Sequence[Path]) -> dict[str, str]:
    """Return the annotations' names, and what tells them from others of these names."""
    sha256 = hashlib.sha256()
    for source in sources:
        for file in annotation_files(source) if source.is_dir() else [source]:
            try:
                with file.open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
            except OSError as error:
                raise DensebenchError(f"{file} cannot be read: {error.strerror}.") from error
            sha256.update(f"{file.relative_to(source).as_posix()}\0{digest}\n".encode())
    return {"source": ":".join(source.name for source in sources), "digest": sha256.hexdigest()[:12]}


def _seen(segment: Callable[[np.ndarray], np.ndarray], path: Path, image: np.ndarray) -> np.ndarray:
    """Find regions by what an image shows alone."""
    return segment(image)


def _regions(finder: Finder, portion: Sequence[Path]) -> list[np.ndarray | None]:
    return [finder(path, _read(path)) for path in portion]


def _read(path: Path) -> np.ndarray:
    try:
        return read(path)
    except DensebenchError as error:
        raise DensebenchError(error.message, "Replace or remove it, and type the same command again.") from error
