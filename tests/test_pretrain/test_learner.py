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
    """Neither decay nor moments touch them: their first free step is the optimizer's first."""
    learner = Learner(Quadratic(steps=3))
    method = learner.method
    recipe = Recipe("", optimizer=kind, lr=LR, weight_decay=0.1, decay_all=True, clip_grad=1.0, clip_each=clip_each)
    wrapper = OPTIM_WRAPPERS.build(optimizer(learner, recipe))
    runner = SimpleNamespace(model=learner, optim_wrapper=wrapper, iter=0, max_iters=10)
    while method.steps:
        StepHook().before_train_iter(runner, 0)
        learner.train_step(nothing(), wrapper)
        assert float(method.late) == 5.0
        assert method.late not in wrapper.optimizer.state
        method.steps -= 1
    assert float(method.working) < 3.0
    StepHook().before_train_iter(runner, 0)
    learner.train_step(nothing(), wrapper)
    gone = 5.0 - float(method.late)
    expected = {"adamw": 5.0 * LR * 0.1 + LR, "lars": LR * 0.001 * 5.0}
    if kind != "sgd":
        assert gone == pytest.approx(expected[kind], abs=1e-5)
    assert gone > 0


@pytest.mark.parametrize("arch", ["resnet18", "regnety_004"])
def test_norms_across_ranks_compute_the_same_network(arch):
    """# NOTE: torch's own conversion drops the activation that timm's RegNets have in their norms."""
    backbone, images = backbones.build(arch, seed=0).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        train.convert_sync_batchnorm(backbone)
        assert any(isinstance(module, nn.SyncBatchNorm) for module in backbone.modules())
        torch.testing.assert_close(backbone(images), before)
