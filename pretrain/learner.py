"""What mmengine's Runner trains: a method, and the hooks that go with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from pretrain.engine.state import unwrapped
from pretrain.method import Method, Views
from pretrain.views.batched import coloured


class Learner(nn.Module):
    """A method with the interface of an mmengine model.

    Args:
        method: What is trained.

    Attributes:
        seconds: Time spent training so far, also before a resume.
    """

    seconds: Tensor

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self.register_buffer("seconds", torch.zeros((), dtype=torch.float64))

    def forward(self, views: Views, mode: str = "loss") -> dict[str, Tensor]:
        """Return the method's losses; `mode` is mmengine's and always "loss"."""
        return self.method.loss(views)

    def train_step(self, data: Views, optim_wrapper: Any) -> dict[str, Tensor]:
        """Take one optimizer step and return what is logged."""
        with optim_wrapper.optim_context(self):
            losses = self(**self.data_preprocessor(data, training=True))
        loss, logged = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return logged

    def data_preprocessor(self, data: Views, training: bool) -> dict[str, Views]:
        """Move the views to the model's device, and colour them there; called by mmengine's distributed wrapper too."""
        return {"views": coloured(data.to(self.seconds.device))}

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to differentiate, and all terms for the log.

        # NOTE: mmengine's own adds up every entry whose name contains "loss".
        """
        return losses["loss"], {name: value.detach() for name, value in losses.items()}


class StepHook(Hook):
    """Tell the method before every step how far the training has come, let rest what rests, and keep the time.

    # NOTE: mmengine's distributed wrapper calls none of the model's own `train_step`; hooks are called with any.

    Args:
        progress: Called with the steps done and their total after every step.
    """

    def __init__(self, progress: Callable[[int, int], None] | None = None) -> None:
        self.progress = progress

    def before_train(self, runner: Any) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Call the method's `before_step`, and ask it what rests."""
        method = learner_of(runner).method
        method.before_step(runner.iter / runner.max_iters)
        runner.optim_wrapper.resting = method.resting()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep the time and report."""
        now = time.monotonic()
        learner_of(runner).seconds += now - self._last
        self._last = now
        if self.progress is not None:
            self.progress(runner.iter + 1, runner.max_iters)


def learner_of(runner: Any) -> Learner:
    """Return the learner that `runner` trains, out of its distributed wrapper."""
    learner = unwrapped(runner.model)
    assert isinstance(learner, Learner)
    return learner
