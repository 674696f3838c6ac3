"""Start a Runner: process group, log file, hooks, and a clean end when it is interrupted."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import cv2
import torch
import torch.distributed
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from pretrain.engine.progress import ProgressHook
from pretrain.engine.state import StateHook
from pretrain.errors import DensebenchError


@FUNCTIONS.register_module()  # type: ignore[untyped-decorator]
def quiet_worker(worker_id: int) -> None:
    """Prepare a loader's worker: one thread; Ctrl-C and what is left to collect are the main process's business.

    torch's handler of SIGTERM stays: it ends a worker, and without complaint where the main process is done with it.
    A loader of an earlier run that the main process has not collected yet is another's here, and complains when it is.
    """
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def join_process_group() -> str:
    """Join torchrun's process group where there is one; return mmengine's launcher name.

    # NOTE: mmengine's own start selects a CUDA device and so fails under torchrun on a CPU.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return "none"
    if not torch.distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return "pytorch"


def world_size() -> int:
    """Return how many processes train together."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_main_process() -> bool:
    """Tell whether this process is the one that writes."""
    return world_size() == 1 or int(os.environ["RANK"]) == 0


def build_runner(config: Config) -> Runner:
    """Build the Runner of `config`; its log goes to the work folder's files, not to the screen."""
    config.launcher = join_process_group()
    _keep_imports_out_of_collections()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Default ``avg_non_ignore``")  # the default is the published setting
        runner = Runner.from_cfg(config)
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)
            handler.setLevel(logging.ERROR)
    return runner


@functools.cache
def _keep_imports_out_of_collections() -> None:
    """Spare each collection, of which every data set makes one, the third of a second that all the imports take."""
    gc.collect()
    gc.freeze()


def train(runner: Runner) -> Any:
    """Train to the end, and leave the terminal in order when that is interrupted.

    Raises:
        DensebenchError: Also one that a loader's worker raised, freed of the worker's traceback.
        KeyboardInterrupt: Ctrl-C or SIGTERM came.
    """
    try:
        with _workers_errors(runner):
            return runner.train()
    finally:
        for hook in runner.hooks:
            if isinstance(hook, ProgressHook | StateHook):
                hook.close()


def test(runner: Runner) -> dict[str, float]:
    """Evaluate, and return the evaluator's numbers.

    Raises:
        DensebenchError: As of `train`.
        KeyboardInterrupt: Ctrl-C or SIGTERM came.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        _ = runner.test_loop  # builds the data set; pycocotools reports its reading
    with _workers_errors(runner):
        numbers: dict[str, float] = runner.test()
        return numbers


@contextlib.contextmanager
def _workers_errors(runner: Runner) -> Iterator[None]:
    """Let what ends a loader's worker end this process likewise: an error, or an interruption.

    Slurm's SIGTERM goes to the workers, too, and may be there first.
    """
    try:
        yield
    except DensebenchError as error:
        _, found, sentence = error.message.rpartition(f"{DensebenchError.__module__}.DensebenchError: ")
        if not found:
            raise
        raise DensebenchError(sentence.strip()) from error
    except RuntimeError as error:
        said = f"{error} {error.__cause__}"
        interrupted = any(isinstance(hook, StateHook) and hook.interrupted for hook in runner.hooks)
        if "DataLoader worker" in said and (interrupted or "killed by signal: Terminated" in said):
            raise KeyboardInterrupt from None  # the last saved state counts
        raise


def end_workers(loader: Any) -> None:
    """End the workers that a loader keeps, if it has begun; it can begin again.

    # NOTE: the garbage collector closes a loader's queues before torch tells the workers to end, and torch then waits
    five seconds for them.
    """
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None:
        iterator._shutdown_workers()
        loader._iterator = None
