"""Verify data before any compute: every file that a list names is there, and every image can be decoded."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from benchmark import data_spec, manifest, task
from pretrain.errors import DensebenchError


def unreadable(images: Iterable[Path]) -> list[Path]:
    """Return the images that cannot be decoded to the last byte, in their order."""
    paths = list(images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [path for path, damaged in zip(paths, pool.map(_is_damaged, paths), strict=True) if damaged]


def _is_damaged(path: Path) -> bool:
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
    except (OSError, ValueError, SyntaxError):
        return True
    return False


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
        DensebenchError: A data set is incomplete, an image damaged, or none of the data is there.
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
