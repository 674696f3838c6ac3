"""Files that are whole or absent, never half written, whatever interrupts the writer; and JSON, read with care."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pretrain.errors import DensebenchError, one_line


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it takes `path`'s place.

    The temporary file is flushed to the disk before the exchange, so that `path` holds the old content or
    the new one, also after a crash. When the block fails the temporary file is removed and `path` stays.

    Raises:
        DensebenchError: The disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` and of its suffix, for a file or a folder of files; at a good end they take its place.

    A folder's files replace those of their names in `path`; whatever else lies there stays. When the block fails, the
    draft is removed and `path` stays.

    Raises:
        DensebenchError: The place cannot be written.
    """
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        if draft.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            for file in draft.iterdir():
                file.replace(path / file.name)
        else:
            draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> DensebenchError:
    """Describe why `path` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DensebenchError(
            f"{path} could not be written: the disk is full; what stood there before is untouched.",
            "Free some room and type the same command again.",
        )
    file = in_the_way(path)
    if file is not None:
        return DensebenchError(f"{path} could not be written: {file} is a file, not a folder.", "Choose another place.")
    return DensebenchError(
        f"{path} could not be written: {error.strerror or error}.",
        "Check that the folder exists and that you may write to it.",
    )


def in_the_way(path: Path) -> Path | None:
    """Return what stands where a folder above `path` should be, and is none."""
    return next((above for above in path.parents if os.path.lexists(above) and not above.is_dir()), None)


def read_object(
    path: Path, *, what: str = "a JSON object", mend: str = "", largest: int | None = 1 << 26
) -> dict[str, Any]:
    """Read a JSON file (UTF-8) that holds an object.

    Args:
        path: The file.
        what: What it should be, for the message.
        mend: How to mend it when it is none.
        largest: A larger file is refused unread, in bytes; None for no limit.

    Raises:
        DensebenchError: It is missing, cannot be read, or holds something else.
    """
    try:
        if largest is not None and path.stat().st_size > largest:
            raise DensebenchError(f"{path} is not {what}: it is far too large.", mend)
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DensebenchError(f"There is no file {path}.", mend) from error
    except OSError as error:
        raise DensebenchError(f"{path} cannot be read: {error.strerror or error}.", mend) from error
    except (ValueError, RecursionError) as error:
        raise DensebenchError(f"{path} is not {what}: it is not valid JSON ({one_line(error)}).", mend) from error
    if not isinstance(found, dict):
        raise DensebenchError(f"{path} is not {what}: it holds a {type(found).__name__}, not an object.", mend)
    return found
