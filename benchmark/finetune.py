"""One fine-tuning run: Config -> Runner -> metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

import benchmark.heads
import benchmark.heads.depth
import benchmark.heads.linear
import benchmark.heads.res5
import benchmark.heads.transforms
import benchmark.metrics  # noqa: F401 (these imports register our modules)
from benchmark import backbones
from benchmark.compose import Composed
from benchmark.convert import Backbone
from benchmark.heads.norms import precise
from benchmark.heads.trunk import TrunkHook
from pretrain.engine import guard, launch, sampling  # noqa: F401 (registers the hooks)
from pretrain.engine.optim_wrapper import AutocastOptimWrapper  # noqa: F401
from pretrain.engine.progress import ProgressHook
from pretrain.engine.state import StateHook, unwrapped
from pretrain.errors import DensebenchError
from pretrain.saving import write_torch

STATE = "state.pth"


@dataclass(frozen=True)
class Job:
    """One run, ready to start.

    Attributes:
        title: What the progress line calls it.
        composed: Its config.
        backbone: The certified trunk.
        frozen: The trunk does not train.
        calibrate: Training images, at most, that set the trunk's norm statistics first; 0 leaves them.
        folder: Its work folder.
        keep_model: Leave the fine-tuned weights in the work folder.
    """

    title: str
    composed: Composed
    backbone: Backbone
    frozen: bool
    calibrate: int
    folder: Path
    keep_model: bool


def finetune(job: Job, on_step: Callable[[int, int], None] | None = None) -> dict[str, float]:
    """Train and evaluate; a run that was interrupted goes on where it stopped.

    The state that it goes on from stays in the work folder; see `forget`.

    Args:
        job: The run.
        on_step: Called with (iterations done, iterations in all) after every step; a progress bar shows otherwise.

    Returns:
        The evaluator's numbers, unrounded.

    Raises:
        DensebenchError: The trunk does not stand where it belongs, the loss diverged, or an image is damaged.
    """
    backbones.register(job.backbone.arch)
    state_file = job.folder / STATE
    # mmengine would have yapf lay the config out six times, for ten seconds in all.
    runner = launch.build_runner(Config(job.composed.config, format_python_code=False))
    runner.register_hook(
        TrunkHook(
            job.backbone.state,
            job.composed.places,
            frozen=job.frozen,
            calibrate=job.calibrate,
            resumed=state_file,
        ),
        "HIGHEST",
    )
    runner.register_hook(guard.FiniteLossHook())
    runner.register_hook(ProgressHook(job.title, job.composed.batch_size, quiet=on_step is not None), "LOW")
    if on_step is not None:
        runner.register_hook(_StepHook(on_step), "LOW")
    runner.register_hook(StateHook(str(state_file)), "VERY_LOW")
    launch.train(runner)
    if job.composed.precise_bn:
        precise(runner, job.composed.places, job.composed.precise_bn, frozen=job.frozen)
    launch.end_workers(runner.train_dataloader)
    metrics = launch.test(runner)
    if job.keep_model and launch.is_main_process():
        write_torch(job.folder / "model.pth", unwrapped(runner.model).state_dict())
    return {name.rpartition("/")[2]: float(value) for name, value in metrics.items()}


def forget(folder: Path) -> None:
    """Delete a run's training state, once its numbers are safe elsewhere."""
    (folder / STATE).unlink(missing_ok=True)


class _StepHook(Hook):
    """Report every step."""

    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self.on_step = on_step

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Report."""
        self.on_step(runner.iter + 1, runner.max_iters)


def reported(metrics: dict[str, float], keys: list[str], title: str) -> dict[str, float]:
    """Pick the metrics that a task reports.

    Raises:
        DensebenchError: The evaluator did not give one of them.
    """
    missing = [key for key in keys if key not in metrics]
    if missing:
        given = ", ".join(sorted(metrics))
        raise DensebenchError(f"{title}: the evaluator gave no '{missing[0]}', only {given}.")
    return {key: metrics[key] for key in keys}
