"""Regions from elsewhere, such as MCG's proposals (DetCon takes the 16 of the highest score)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pretrain.errors import DensebenchError
from pretrain.masks.lookup import entry_of
from pretrain.masks.planes import decode, from_masks


class Proposals:
    """Read proposals from one file.

    Args:
        file: JSON Lines, one image a line: {"file_name": ..., "masks": [{"size": [H, W], "counts": ...}, ...],
            "scores": [...]}. Masks are COCO's run lengths, compressed or not; they may overlap. Scores may be left
            out where the best mask comes first. A file name is the end of an image's path.
        most: How many are kept of an image.

    Raises:
        DensebenchError: The file cannot be read.
    """

    def __init__(self, file: Path, most: int = 16) -> None:
        self.file = file
        self.most = most
        self.lines: dict[str, int] = {}  # file name -> where its line begins
        try:
            with file.open("rb") as lines:
                start = 0
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        self.lines[_parsed(file, number, line)["file_name"]] = start
                    start += len(line)
        except OSError as error:
            raise DensebenchError(f"{file} cannot be read: {error.strerror}.") from error

    def __call__(self, path: Path, image: np.ndarray) -> np.ndarray | None:
        """Return the regions (P, H, W) of `image`, read at `path`, or None where there are none.

        Raises:
            DensebenchError: A mask is damaged, or has another size than the image.
        """
        name = entry_of(path, self.lines)
        if name is None:
            return None
        height, width = image.shape[:2]
        with self.file.open("rb") as lines:
            lines.seek(self.lines[name])
            entry = json.loads(lines.readline())
        try:
            order = list(range(len(entry["masks"])))
            if "scores" in entry:
                order.sort(key=lambda number: -float(entry["scores"][number]))
            masks = [decode(entry["masks"][number], height, width) for number in order[: self.most]]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DensebenchError(f"{self.file}: the proposals of {name} cannot be read: {error}.") from error
        return from_masks(masks)


def _parsed(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        if isinstance(entry["file_name"], str) and isinstance(entry["masks"], list):
            return dict(entry)
    except (ValueError, KeyError, TypeError):
        pass
    raise DensebenchError(f'{file}, line {number}, is not {{"file_name": ..., "masks": [...]}}.')
