"""A recipe's optimizer and learning rate schedule, for mmengine's Runner."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn

from pretrain.engine.precision import AutocastOptimWrapper, choose
from pretrain.recipe import Recipe


def optimizer(model: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """Return mmengine's optimizer wrapper for the model's trainable parameters, in the recipe's precision.

    Raises:
        UsageError: There is no such precision.
    """
    groups = _groups(model, recipe.decay_all)
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "foreach": True}
    chosen: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        chosen = torch.optim.SGD(groups, momentum=recipe.sgd_momentum, **common)
    elif recipe.optimizer == "lars":
        chosen = Lars(groups, momentum=recipe.sgd_momentum, trust_coeff=0.001, **common)  # adapts what decays
    else:
        chosen = torch.optim.AdamW(groups, **common)
    clip = None if recipe.clip_grad is None else {"max_norm": recipe.clip_grad}
    return {
        "type": AutocastOptimWrapper,
        "precision": choose(recipe.precision),
        "optimizer": chosen,
        "clip_grad": clip,
    }


def _groups(model: nn.Module, decay_all: bool) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups; one of biases and norm layers does not decay where asked."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if decay_all:
        return [{"params": parameters}]
    decays = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() <= 1]
    return [{"params": decays}, {"params": others, "weight_decay": 0.0}]


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
                "eta_min": recipe.end_lr,
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
