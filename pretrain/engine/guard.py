"""Stop a training run that has diverged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor

from pretrain.errors import DensebenchError

MEND = "Lower the learning rate, or clip gradients."


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Raise when the loss is no finite number.

    Args:
        interval: Look every so many iterations, and at the last one (each look waits for the device).
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Look at the loss."""
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if not due or not outputs or "loss" not in outputs:
            return
        if not torch.isfinite(torch.as_tensor(outputs["loss"])).all():
            raise DensebenchError(
                f"The loss is {float(outputs['loss'])} after {runner.iter + 1} iterations: training diverged.",
                MEND,
            )


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Look at the weights of a trained network.

    Raises:
        DensebenchError: One of them holds NaN or infinity.
    """
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise DensebenchError(
            f"{len(broken)} of the network's {len(tensors)} tensors hold NaN or infinity, the first is {broken[0]}: "
            "training diverged.",
            MEND,
        )
