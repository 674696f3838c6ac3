"""Stop a training run that has diverged."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from pretrain.errors import DensebenchError


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Raise when the loss is no finite number.

    Args:
        interval: Look every so many iterations (each look waits for the device).
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Look at the loss."""
        if not self.every_n_train_iters(runner, self.interval) or not outputs or "loss" not in outputs:
            return
        if not torch.isfinite(torch.as_tensor(outputs["loss"])).all():
            raise DensebenchError(
                f"The loss is {float(outputs['loss'])} after {runner.iter + 1} iterations: training diverged.",
                "Lower the learning rate, or clip gradients.",
            )
