"""Processes that share the cores and do jobs; one that fails, or an interruption, keeps what the others have done.

A job raises DensebenchError for what a reader is to know. Ctrl-C reaches every process: each lets its job keep what it
has, and begins no other one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method

import torch

from pretrain.cores import cores
from pretrain.errors import DensebenchError
from pretrain.processes import without_ctrl_c

_interrupted = threading.Event()  # in this process of the pool


def pool(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of so many processes, which begin anew (CUDA does not survive a fork)."""
    processes = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (jobs,))
    with without_ctrl_c():
        for _ in range(jobs):
            processes.submit(bool)  # each begins with a job that finds none idle
    return processes


def guarded(job: Callable[[], None]) -> str:
    """Do a job in a process of the pool and return what went wrong, as a sentence; empty if nothing did."""
    if _interrupted.is_set():  # the pool has the next job at hand already, and cannot take it back
        return "Interrupted."
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job()
    except DensebenchError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            _interrupted.set()
        return str(error)
    except KeyboardInterrupt:
        _interrupted.set()
        return "Interrupted."
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ""


def _begin(jobs: int) -> None:
    """Take this process's share of the cores; between two jobs an interruption is its parent's alone."""
    set_start_method("fork", force=True)  # of the loaders' workers; mmengine sets it too, and warns
    torch.set_num_threads(max(1, cores() // jobs))
    if signal.SIGINT in signal.sigpending():  # it came while this process began
        _interrupted.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
