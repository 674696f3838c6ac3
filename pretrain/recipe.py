"""Recipe: a paper's training settings as data, and how `--set key=value` changes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from pretrain import ranges
from pretrain.errors import unknown
from pretrain.typed import parse

CHOICES = {
    "optimizer": ("sgd", "adamw", "lars"),
    "schedule": ("cosine", "step", "constant"),
    "precision": ("bfloat16", "float32"),
}


@dataclass(frozen=True)
class Recipe:
    """How long, on how many images at once and with which optimizer a method is trained.

    Attributes:
        source: Where the numbers were read.
        epochs: Passes over the images; 0 trains nothing.
        iterations: Optimizer steps; where given, they count instead of `epochs`.
        batch_size: Images a step, over all ranks.
        optimizer: "sgd", "adamw" or "lars" (arXiv 1708.03888, with a trust coefficient of 0.001).
        lr: Learning rate at this very batch size, before the schedule.
        sgd_momentum: Momentum of SGD and LARS (a method's teacher has its `ema_momentum`).
        betas: AdamW's decay rates of the moments.
        weight_decay: Weight decay.
        end_weight_decay: Where the weight decay ends, along a cosine over all steps; None keeps it.
        decay_all: Decay (and, in LARS, adapt) biases and norm layers too; else only matrices and kernels.
        layer_decay: Factor of the rate from one of the backbone's layers to the one below it; 1 treats all alike.
        schedule: "cosine" (to `end_lr`), "step" or "constant".
        end_lr: Where the cosine ends.
        milestones: Epochs at which the step schedule multiplies the rate by `gamma`.
        gamma: The step schedule's factor.
        warmup_epochs: Linear warm-up from a thousandth of the rate; 0 for none.
        clip_grad: Largest L2 norm of the gradient; None does not clip.
        clip_each: Clip every parameter's gradient by its own norm, not all by their common one.
        precision: "bfloat16" or "float32".
        device_colours: Recolour and blur whole batches on the training device, and not view by view in the workers.
        method: The method's keyword arguments where they differ from its defaults.
    """

    source: str
    epochs: float = 0
    iterations: int | None = None
    batch_size: int = 256
    optimizer: str = "sgd"
    lr: float = 0.03
    sgd_momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    end_weight_decay: float | None = None
    decay_all: bool = True
    layer_decay: float = 1.0
    schedule: str = "cosine"
    end_lr: float = 0.0
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup_epochs: float = 0
    clip_grad: float | None = None
    clip_each: bool = False
    precision: str = "bfloat16"
    device_colours: bool = False
    method: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return bool(self.epochs if self.iterations is None else self.iterations)

    def steps(self, images: int) -> int:
        """Return the number of optimizer steps on a data set of `images` images."""
        if self.iterations is not None:
            return self.iterations
        return round(self.epochs * images / self.batch_size)

    def with_overrides(self, overrides: Mapping[str, str], method_class: type) -> Recipe:
        """Return this recipe with the values of `--set key=value`.

        Args:
            overrides: Key to value as typed; a key is a field of the recipe or a keyword of the method.
            method_class: The method.

        Raises:
            UsageError: A key is neither, or a value cannot be read or is out of its range.
        """
        own = {item.name for item in fields(self)} - {"source", "method"}
        keywords = keywords_of(method_class)
        kinds = {**_kinds_of(method_class), **get_type_hints(Recipe)}
        changed: dict[str, Any] = {}
        method = dict(self.method)
        for key, text in overrides.items():
            if key in own:
                changed[key] = parse(key, text, kinds[key], getattr(self, key))
            elif key in keywords:
                method[key] = parse(key, text, kinds[key], keywords[key])
            else:
                raise unknown("setting", key, own | set(keywords))
        if "epochs" in changed and "iterations" not in changed:
            changed["iterations"] = None
        recipe = replace(self, **changed, method=method)
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raise UsageError where a value is out of its range."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        for name, value in {**vars(self), **self.method}.items():
            ranges.check(name, value)


def lars(source: str, epochs: float, batch_size: int, base_lr: float, weight_decay: float, **changes: Any) -> Recipe:
    """Return a recipe with LARS as SimCLR, BYOL and their followers use it.

    Biases and norm layers neither decay nor adapt; ten epochs of warm-up, then a cosine.

    # NOTE: the trust ratio is arXiv 1708.03888's, eta |w| / (|g| + beta |w|); the released BYOL, VICReg and DetCon
    divide by |g + beta w|. With a weight decay beta of 1e-6 the two hardly differ.

    Args:
        source: See `Recipe`.
        epochs: See `Recipe`.
        batch_size: See `Recipe`.
        base_lr: The rate for 256 images a step, as the papers give it.
        weight_decay: See `Recipe`.
        changes: Other fields of `Recipe`.
    """
    return _scaled("lars", source, epochs, batch_size, base_lr, weight_decay, changes)


def adamw(source: str, epochs: float, batch_size: int, base_lr: float, weight_decay: float, **changes: Any) -> Recipe:
    """Return a recipe with AdamW as the methods for vision transformers use it.

    Biases and norm layers do not decay; ten epochs of warm-up, then a cosine.

    Args:
        source: See `Recipe`.
        epochs: See `Recipe`.
        batch_size: See `Recipe`.
        base_lr: The rate for 256 images a step, as the papers give it.
        weight_decay: See `Recipe`.
        changes: Other fields of `Recipe`.
    """
    return _scaled("adamw", source, epochs, batch_size, base_lr, weight_decay, changes)


def dino_recipe(
    source: str, epochs: float, batch_size: int, base_lr: float = 5e-4, weight_decay: float = 0.04, **changes: Any
) -> Recipe:
    """Return a recipe with the schedules of DINO (arXiv 2104.14294, Section 3.2); see `adamw`.

    # NOTE: the paper does not mention the clipping of the released code.
    """
    common = {"end_weight_decay": 0.4, "end_lr": 1e-6, "clip_grad": 3.0, "clip_each": True}
    return adamw(source, epochs, batch_size, base_lr, weight_decay, **{**common, **changes})


def _scaled(
    optimizer: str,
    source: str,
    epochs: float,
    batch_size: int,
    base_lr: float,
    weight_decay: float,
    changes: Mapping[str, Any],
) -> Recipe:
    recipe = Recipe(
        source=source,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=base_lr * batch_size / 256,
        weight_decay=weight_decay,
        decay_all=False,
        warmup_epochs=10,
    )
    return replace(recipe, **changes)


def for_scenes(iterations: int, lr: float = 6e-4, **method: Any) -> Recipe:
    """Return the recipe for a CPU on the embedded scenes: 32 images a step, by AdamW, and crops of 64 pixels.

    The steps of each method are those that ten minutes of one core of 2021 allow in float32; forty for a ViT.

    Args:
        iterations: Optimizer steps.
        lr: See `Recipe`.
        method: The method's keywords where they differ from its defaults, such as larger crops.
    """
    return Recipe(
        source="this project, for a CPU",
        iterations=iterations,
        batch_size=32,
        optimizer="adamw",
        lr=lr,
        warmup_epochs=1,
        method={"image_size": 64, "crop_scale": (0.4, 1.0), **method},
    )


def keywords_of(method: type) -> dict[str, Any]:
    """Return a method's keyword arguments with their defaults.

    Those without a default are decided by the data, and not listed.
    """
    parameters = inspect.signature(method).parameters.values()
    return {
        item.name: item.default
        for item in parameters
        if item.kind is item.KEYWORD_ONLY and item.default is not item.empty
    }


def _kinds_of(method: type) -> dict[str, Any]:
    """Return the annotations of a method's keywords; of one without, the type of its default."""
    parameters = inspect.signature(method, eval_str=True).parameters.values()
    return {item.name: type(item.default) if item.annotation is item.empty else item.annotation for item in parameters}
