"""A lock file that one process holds while it works on one file."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pretrain.errors import DensebenchError
from pretrain.files import unwritable

_WRITING_SECONDS = 0.5  # between creating a lock file and writing the holder's name into it
_BEAT_SECONDS = 60.0  # a holder touches its lock this often,
_SILENT_SECONDS = 15 * 60.0  # and is taken for dead after this long without: of another host nothing else is known


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold `path` for this process; a second process is told who holds it.

    The lock is the file `PATH.lock`, created exclusively, with the holder's process and host in it. What a
    dead process of this host left behind is taken over; what one of another host did, 15 minutes after it last touched
    its lock. A claim within a claim of the same process is free.

    Raises:
        DensebenchError: Another process holds `path`, or the lock cannot be written.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        taken = _take(lock, path)
    except OSError as error:
        raise unwritable(lock, error) from error
    if not taken:
        yield
        return
    try:
        with _beating(lock):
            yield
    finally:
        if _mine(lock):
            lock.unlink(missing_ok=True)


@contextmanager
def _beating(lock: Path) -> Iterator[None]:
    """Touch the lock within the block, now and then: the sign of life for other hosts."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            if _mine(lock):  # not another host's, which took it over while this process was stopped
                with suppress(OSError):
                    os.utime(lock)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _mine(lock: Path) -> bool:
    """Tell whether this process's name stands in the lock."""
    try:
        return _parse(lock.read_text(encoding="utf-8")) == _identity(os.getpid())
    except OSError:
        return False


def _take(lock: Path, path: Path) -> bool:
    """Create the lock, or take a dead one over; False when this process holds it already."""
    me = _identity(os.getpid())
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            pass
        else:
            _write(handle, lock, me)
            return True
        with suppress(FileNotFoundError):  # released in the meantime: try again
            holder = _holder(lock)
            if holder == me:
                return False
            if holder is not None and _alive(holder, lock):
                raise DensebenchError(
                    f"{path} is being written by process {holder['pid']} on {holder['host']}.",
                    f"Wait for it to finish; if that process is gone, delete {lock}.",
                )
            if _take_over(lock, holder, me):
                return True


def _write(handle: int, lock: Path, me: dict[str, Any]) -> None:
    try:
        os.write(handle, json.dumps(me).encode())
    except OSError:
        lock.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _take_over(lock: Path, dead: dict[str, Any] | None, me: dict[str, Any]) -> bool:
    """Write this process into a dead one's lock; False when another process was quicker."""
    with lock.open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # of all that saw the same dead holder, one passes at a time
        if not os.path.samestat(os.fstat(handle.fileno()), lock.stat()) or _parse(handle.read()) != dead:
            return False
        handle.seek(0)
        handle.truncate()
        handle.write(json.dumps(me))
    return True


def _holder(lock: Path) -> dict[str, Any] | None:
    """Read who holds the lock; None when the holder died before it wrote its name."""
    holder = _parse(lock.read_text(encoding="utf-8"))
    if holder is None:
        time.sleep(_WRITING_SECONDS)
        holder = _parse(lock.read_text(encoding="utf-8"))
    return holder


def _parse(content: str) -> dict[str, Any] | None:
    try:
        holder = json.loads(content)
    except ValueError:
        return None
    return holder if isinstance(holder, dict) and {"pid", "host", "started"} <= holder.keys() else None


def _alive(holder: dict[str, Any], lock: Path) -> bool:
    """Say whether the holder still runs; a process of another host does while it touches its lock."""
    if holder["host"] != socket.gethostname():
        return time.time() - lock.stat().st_mtime < _SILENT_SECONDS
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, under another user
    return _identity(int(holder["pid"])) == holder  # otherwise its number went to a younger process


def _identity(pid: int) -> dict[str, Any]:
    """Name a process so that a later one with the same number differs (where the system tells its start)."""
    started = ""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        started = status.rpartition(")")[2].split()[19]  # in ticks since boot
    return {"pid": pid, "host": socket.gethostname(), "started": started}
