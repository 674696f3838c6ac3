"""A recipe's optimizer and learning rate schedule, for mmengine's Runner."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pretrain.engine.precision import AutocastOptimWrapper, choose
from pretrain.recipe import Recipe


def optimizer(model: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """Return mmengine's optimizer wrapper for the model's trainable parameters, in the recipe's precision.

    Raises:
        UsageError: There is no such precision.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "foreach": True}
    chosen: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        chosen = torch.optim.SGD(parameters, momentum=recipe.sgd_momentum, **common)
    else:
        chosen = torch.optim.AdamW(parameters, **common)
    clip = None if recipe.clip_grad is None else {"max_norm": recipe.clip_grad}
    return {
        "type": AutocastOptimWrapper,
        "precision": choose(recipe.precision),
        "optimizer": chosen,
        "clip_grad": clip,
    }


def schedules(recipe: Recipe, steps: int, images: int) -> list[dict[str, Any]]:
    """Return mmengine's parameter schedulers, which change the rate at every step.

    # NOTE: the released MoCo and DenseCL change the rate once an epoch.

    Args:
        recipe: The recipe.
        steps: All optimizer steps of the run.
        images: Images in the data set; epochs are counted in them.
    """
    warmup = min(steps, _steps(recipe.warmup_epochs, recipe, images))
    found: list[dict[str, Any]] = []
    if warmup > 0:
        found.append({"type": "LinearLR", "start_factor": 0.001, "begin": 0, "end": warmup})
    if recipe.schedule == "cosine" and steps > warmup:
        found.append(
            {
                "type": "CosineAnnealingLR",
                "eta_min": 0.0,
                "T_max": steps - warmup,
                "begin": warmup,
                "end": steps,
            }
        )
    if recipe.schedule == "step":
        milestones = [_steps(epoch, recipe, images) for epoch in recipe.milestones]
        found.append({"type": "MultiStepLR", "milestones": milestones, "gamma": recipe.gamma})
    return [{**schedule, "by_epoch": False} for schedule in found]


def _steps(epochs: float, recipe: Recipe, images: int) -> int:
    return round(epochs * images / recipe.batch_size)
