"""Zip archives of strangers: every entry lies where it says, within the file, and has its checksum."""

from __future__ import annotations

import zipfile
import zlib
from mmap import mmap
from pathlib import Path
from typing import Any

_CHUNK = 1 << 24
_MOST_UNPACKED = 1 << 26  # bytes that the smallest file may grow to
_MOST_TIMES = 20  # that a larger file may grow; weights hardly shrink


class Archive:
    """A zip file, mapped.

    Raises:
        Exception: It is damaged; of any kind.
    """

    def __init__(self, path: Path, data: mmap) -> None:
        self.data = data
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        self.entries = {entry.filename: entry for entry in entries}
        if len(self.entries) < len(entries):
            raise ValueError("it names an entry twice")
        packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
        if sum(entry.file_size for entry in packed) > max(_MOST_UNPACKED, _MOST_TIMES * len(data)):
            raise ValueError("its entries would grow far beyond the file's size when unpacked")
        for entry in entries:
            if entry.flag_bits & 1:
                raise ValueError("its entries are encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("its entries are packed in an unusual way")
            if self._start(entry) + entry.compress_size > len(data):
                raise ValueError(f"its entry {entry.filename} reaches beyond its end")
            if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
                raise ValueError(f"its entry {entry.filename} has two sizes")

    def stored(self, name: str) -> tuple[int, int]:
        """Return where an entry that is not packed begins in the file, and its size in bytes.

        Raises:
            ValueError: There is none.
        """
        entry = self.entries.get(name)
        if entry is None or entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its entry {name} is {'missing' if entry is None else 'packed'}")
        return self._start(entry), entry.file_size

    def read(self, name: str) -> bytes:
        """Return an entry's bytes, whose checksum has been verified.

        Raises:
            ValueError: It is missing or damaged.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise ValueError(f"its entry {name} is missing")
        start = self._start(entry)
        content = self.data[start : start + entry.compress_size]
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, entry.file_size + 1)
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise ValueError(_damaged(name))
        return content

    def verify(self) -> None:
        """Hold every entry to its checksum.

        Raises:
            ValueError: One does not have it.
        """
        with memoryview(self.data) as view:
            for name, entry in self.entries.items():
                if entry.compress_type != zipfile.ZIP_STORED:
                    self.read(name)
                    continue
                start, checksum = self._start(entry), 0
                for place in range(start, start + entry.file_size, _CHUNK):
                    checksum = zlib.crc32(view[place : min(place + _CHUNK, start + entry.file_size)], checksum)
                if checksum != entry.CRC:
                    raise ValueError(_damaged(name))

    def _start(self, entry: zipfile.ZipInfo) -> int:
        """Return where an entry's bytes begin: after its local header, its name once more, and what pads it."""
        header: Any = self.data[entry.header_offset : entry.header_offset + 30]
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise ValueError(f"its entry {entry.filename} has no header")
        return (
            entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        )


def _damaged(name: str) -> str:
    return f"the bytes of its entry {name} do not have their checksum"
