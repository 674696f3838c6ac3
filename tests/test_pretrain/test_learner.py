"""What the Runner trains: which parameters take part in a step."""

import pytest
import torch
from torch import nn

from pretrain.engine.precision import AutocastOptimWrapper
from pretrain.learner import Learner
from pretrain.method import Method, Views

LR = 0.01


class Quadratic(Method):
    """Two parameters, the second of which rests at first."""

    def __init__(self, steps):
        super().__init__()
        self.working, self.late = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([5.0]))
        self.steps = steps

    def views(self):
        return nothing

    def export(self):
        return self

    def resting(self):
        return [self.late] if self.steps else []

    def loss(self, views):
        return {"loss": (self.working**2 + self.late**2).sum()}


def nothing():
    return Views(images=[], boxes=[], flips=[], index=torch.zeros(1))


@pytest.mark.parametrize("clip_each", [False, True])
def test_resting_parameters_are_no_part_of_the_step(clip_each):
    """Neither decay nor moments touch them: their first free step is AdamW's first, of one learning rate."""
    learner = Learner(Quadratic(steps=3))
    method = learner.method
    optimizer = torch.optim.AdamW(method.parameters(), lr=LR, weight_decay=0.1)
    wrapper = AutocastOptimWrapper(optimizer=optimizer, clip_grad={"max_norm": 1.0}, clip_each=clip_each)
    while method.steps:
        learner.train_step(nothing(), wrapper)
        assert float(method.late) == 5.0
        assert method.late not in optimizer.state
        method.steps -= 1
    assert float(method.working) < 3.0 - 2 * LR
    learner.train_step(nothing(), wrapper)
    assert float(method.late) == pytest.approx(5.0 * (1 - LR * 0.1) - LR, abs=1e-5)
