"""What the Runner trains: which parameters take part in a step."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from pretrain import backbones, train
from pretrain.learner import Learner, StepHook
from pretrain.method import Method, Views
from pretrain.recipe import Recipe
from pretrain.schedule import optimizer

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
@pytest.mark.parametrize("kind", ["adamw", "sgd", "lars"])
def test_resting_parameters_are_no_part_of_the_step(kind, clip_each):
    """Neither decay nor moments touch them: their first free step is that of an optimizer that has just begun."""
    recipe = Recipe("", optimizer=kind, lr=LR, weight_decay=0.1, decay_all=True, clip_grad=1.0, clip_each=clip_each)

    def steps(method):
        learner = Learner(method)
        wrapper = OPTIM_WRAPPERS.build(optimizer(learner, recipe))
        runner = SimpleNamespace(model=learner, optim_wrapper=wrapper, iter=0, max_iters=10)
        while True:
            StepHook().before_train_iter(runner, 0)
            learner.train_step(nothing(), wrapper)
            yield wrapper.optimizer

    rested = Quadratic(steps=3)
    taken = steps(rested)
    while rested.steps:
        assert rested.late not in next(taken).state
        assert float(rested.late) == 5.0
        rested.steps -= 1
    assert float(rested.working) < 3.0
    fresh = Quadratic(steps=0)
    fresh.working.data.copy_(rested.working)
    next(taken)
    next(steps(fresh))
    assert float(fresh.late) < 5.0
    torch.testing.assert_close(rested.late, fresh.late)


@pytest.mark.parametrize("arch", ["resnet18", "regnety_004"])
def test_norms_across_ranks_compute_the_same_network(arch):
    """# NOTE: torch's own conversion drops the activation that timm's RegNets have in their norms."""
    backbone, images = backbones.build(arch, seed=0).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        train.convert_sync_batchnorm(backbone)
        assert any(isinstance(module, nn.SyncBatchNorm) for module in backbone.modules())
        torch.testing.assert_close(backbone(images), before)
