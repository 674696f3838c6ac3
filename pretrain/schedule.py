"""A recipe's optimizer and learning rate schedule, for mmengine's Runner."""

from __future__ import annotations

import re
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn

from pretrain.engine.optim_wrapper import AutocastOptimWrapper
from pretrain.engine.precision import choose
from pretrain.recipe import Recipe


def optimizer(model: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """Return mmengine's optimizer wrapper for the model's trainable parameters, in the recipe's precision.

    # NOTE: torch's fused SGD fails where some parameters of a group have rested and others have not.

    Raises:
        UsageError: There is no such precision.
    """
    groups = _groups(model, recipe)
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    chosen: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        chosen = torch.optim.SGD(groups, momentum=recipe.sgd_momentum, foreach=True, **common)
    elif recipe.optimizer == "lars":
        chosen = Lars(groups, momentum=recipe.sgd_momentum, trust_coeff=0.001, foreach=True, **common)
    else:
        chosen = torch.optim.AdamW(groups, betas=recipe.betas, foreach=True, **common)
    clip = None if recipe.clip_grad is None else {"max_norm": recipe.clip_grad}
    return {
        "type": AutocastOptimWrapper,
        "precision": choose(recipe.precision),
        "optimizer": chosen,
        "clip_grad": clip,
        "clip_each": recipe.clip_each,
    }


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups of one rate and one weight decay.

    Biases and norm layers do not decay where the recipe says so, and LARS does not adapt them; with layer-wise decay,
    the rate falls from the heads (the recipe's rate) through the backbone's layers to its first one.

    # NOTE: timm's LARS adapts what decays; the papers' whatever they do not exclude, also with a weight decay of 0.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    highest = 1 + max((_layer(name) or 0 for name, _ in named), default=0)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        layer = _layer(name) if recipe.layer_decay < 1 else highest
        decays = recipe.decay_all or parameter.dim() > 1
        groups.setdefault((highest if layer is None else layer, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.lr * recipe.layer_decay ** (highest - layer),
            "weight_decay": _first_weight_decay(recipe) if decays else 0.0,
            **({"always_adapt": decays} if recipe.optimizer == "lars" else {}),
        }
        for (layer, decays), parameters in groups.items()
    ]


def _first_weight_decay(recipe: Recipe) -> float:
    """Return the weight decay of the first step.

    # NOTE: a decay that rises from 0 starts at a millionth of its end: mmengine's cosine multiplies what every group
    starts with, so that biases and norm layers stay at 0.
    """
    return recipe.weight_decay or 1e-6 * (recipe.end_weight_decay or 0.0)


def _layer(name: str) -> int | None:
    """Return which of the backbone's layers a parameter belongs to: 0 for the stem; None for what follows them."""
    _, in_backbone, rest = name.rpartition("backbone.")
    found = re.match(r"blocks\.(\d+)\.|(?:layer|s)(\d)\.|stages\.(\d)", rest)
    if found:
        block, stage, convnext_stage = found.groups()
        return int(stage) if stage else int(block or convnext_stage) + 1
    return None if not in_backbone or rest.startswith(("norm", "head.norm")) else 0


def schedules(recipe: Recipe, steps: int, images: int) -> list[dict[str, Any]]:
    """Return mmengine's parameter schedulers, which change the rate at every step.

    # NOTE: the released MoCo and DenseCL change the rate once an epoch.

    Args:
        recipe: The recipe.
        steps: All optimizer steps of the run.
        images: Images in the data set; epochs are counted in them.
    """
    warmup = min(steps, _steps(recipe.warmup_epochs, recipe, images))
    if warmup == 1:  # no step would follow in which the rate could rise
        warmup = 0
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
    first_weight_decay = _first_weight_decay(recipe)
    if recipe.end_weight_decay is not None and first_weight_decay > 0:
        found.append(
            {
                "type": "CosineAnnealingParamScheduler",
                "param_name": "weight_decay",
                "eta_min_ratio": recipe.end_weight_decay / first_weight_decay,  # what does not decay stays at 0
                "begin": 0,
                "end": steps,
            }
        )
    return [{**schedule, "by_epoch": False} for schedule in found]


def _steps(epochs: float, recipe: Recipe, images: int) -> int:
    return round(epochs * images / recipe.batch_size)
