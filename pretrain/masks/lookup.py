"""Finding an image among the file names of an annotation file."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path


def entry_of(path: Path, names: Container[str]) -> str | None:
    """Return the one of `names` that an image's path ends with, of several the longest; None where there is none.

    Args:
        path: Where the image was read.
        names: File names as the annotations state them, with as many folders as they like ("train/a/7.jpg").
    """
    ends = ("/".join(path.parts[start:]) for start in range(len(path.parts)))
    return next((end for end in ends if end in names), None)
