"""One job for many items, in processes of its own, which end with this one's work however it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

from pretrain.errors import DensebenchError

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(
    job: Callable[[Item], Result], items: Sequence[Item], workers: int, *, at_a_time: int = 1
) -> Iterator[Result]:
    """Yield `job(item)` of every item, in order; in this process where one would be enough.

    Args:
        job: Picklable; sent to each process once, so that it may be large (all of COCO's polygons can belong to it).
        items: Picklable, as the results are.
        workers: Processes.
        at_a_time: Items that a process is given at once.

    Raises:
        DensebenchError: A process was killed; and whatever the job raises.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from map(job, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_Process.start, initargs=(job,)) as pool:
        try:
            with without_ctrl_c():
                results = pool.map(_Process.do, items, chunksize=at_a_time)
            yield from results
        except BrokenProcessPool:
            sentence = "A process that worked on it was killed, perhaps for want of memory."
            raise DensebenchError(sentence, "Type the same command again.") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Let it wait until the block ends. Processes that begin in the block never hear it: their parent does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """A process's own copy of the job."""

    job: Callable[[Any], Any]

    @classmethod
    def start(cls, job: Callable[[Any], Any]) -> None:
        cv2.setNumThreads(1)
        cls.job = job

    @classmethod
    def do(cls, item: Any) -> Any:
        return cls.job(item)
