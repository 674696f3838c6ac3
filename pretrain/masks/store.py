"""One file with the regions of all images of a data set."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pretrain.errors import DensebenchError, UsageError
from pretrain.files import replacing

MEND = "Name a file that `densebench masks` has written, or make it anew."


class Store:
    """Regions by image, as PNGs in an SQLite file, keyed by the image's path relative to the file.

    Every process opens the file for itself, when it first reads.

    Args:
        path: The file; see `create`.

    Raises:
        DensebenchError: There is no such file, or it is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        if not path.is_file():
            raise DensebenchError(f"There is no file of regions {path}.", "Make it with `densebench masks`.")
        self._connection: tuple[int, sqlite3.Connection] | None = None
        try:
            self.settings: Mapping[str, Any] = json.loads(self._rows("SELECT value FROM settings")[0][0])
        except (IndexError, TypeError, ValueError) as error:
            raise DensebenchError(f"{path} is not a file of regions, or damaged.", MEND) from error

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any]) -> Store:
        """Open the file for writing; make it where there is none.

        Raises:
            UsageError: It holds regions of another kind or other options.
            DensebenchError: It cannot be written, or is none of ours.
        """
        text = json.dumps(settings, sort_keys=True)
        if not path.exists():
            try:
                with replacing(path) as temporary, closing(sqlite3.connect(temporary)) as made, made:
                    made.execute("CREATE TABLE settings (value TEXT)")
                    made.execute("CREATE TABLE regions (image TEXT PRIMARY KEY, planes INTEGER, png BLOB)")
                    made.execute("INSERT INTO settings VALUES (?)", (text,))
            except sqlite3.Error as error:
                raise DensebenchError(f"{path} cannot be written: {error}.") from error
        store = cls(path)
        if dict(store.settings) != json.loads(text):
            found, asked = (
                ", ".join(f"{name}={value}" for name, value in one.items()) for one in (store.settings, settings)
            )
            raise UsageError(
                f"{path} holds other regions: {found}; asked for: {asked}.", "Choose another --out, or remove it."
            )
        return store

    def known(self) -> set[str]:
        """Return the keys of the images whose regions are there."""
        return {row[0] for row in self._rows("SELECT image FROM regions")}

    def without(self, images: Iterable[Path]) -> int:
        """Return how many of these images have no region."""
        empty = {row[0] for row in self._rows("SELECT image FROM regions WHERE planes = 0")}
        return sum(self.key(image) in empty for image in images)

    def key(self, image: Path) -> str:
        """Return an image's key."""
        return Path(os.path.relpath(image.resolve(), self.path.parent)).as_posix()

    def write(self, regions: Iterable[tuple[str, np.ndarray | None]]) -> None:
        """Add the regions (P, H, W) of images by their keys, all or none; None for an image without any.

        Raises:
            DensebenchError: The file cannot be written, such as on a full disk.
        """
        rows = [(key, *_encode(planes)) for key, planes in regions]
        try:
            with self._connected() as connection:
                connection.executemany("INSERT OR REPLACE INTO regions VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise DensebenchError(f"{self.path} cannot be written: {error}.") from error

    def read(self, image: Path) -> np.ndarray | None:
        """Return the regions (P, H, W) of an image, uint16; None where it has none.

        Raises:
            DensebenchError: The image is not in the file, or its entry is damaged.
        """
        rows = self._rows("SELECT planes, png FROM regions WHERE image = ?", self.key(image))
        if not rows:
            raise DensebenchError(
                f"{self.path} has no regions of {image}.", "Type the `densebench masks` command again to complete it."
            )
        count, png = rows[0]
        if not count:
            return None
        stacked = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        if stacked is None or stacked.ndim != 2 or len(stacked) % count:
            raise DensebenchError(f"{self.path} is damaged: the regions of {image} cannot be read.")
        return stacked.reshape(count, -1, stacked.shape[1]).astype(np.uint16)

    def _rows(self, query: str, *values: str) -> list[Any]:
        try:
            return self._connected().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise DensebenchError(f"{self.path} is not a file of regions, or damaged: {error}.", MEND) from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None or self._connection[0] != os.getpid():  # a forked process needs its own
            self._connection = (os.getpid(), sqlite3.connect(self.path))
        return self._connection[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None}


def _encode(planes: np.ndarray | None) -> tuple[int, bytes]:
    if planes is None:
        return 0, b""
    count, height, width = planes.shape
    small = planes.astype(np.uint8) if planes.max() < 256 else planes
    return count, cv2.imencode(".png", small.reshape(count * height, width))[1].tobytes()
