"""Files that are whole or absent: never half written, whatever interrupts the writer."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pretrain.errors import DensebenchError


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
