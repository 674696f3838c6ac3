"""BYOL: predict a slowly following teacher's projection of the other view, without negatives.

Grill et al. 2020, arXiv 2006.07733.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.regression import cosine_regression
from pretrain.method import Augment, Method, Views
from pretrain.modules.heads import Encoder, GlobalHead, perceptron
from pretrain.modules.teacher import cosine_momentum, follow, teacher_of
from pretrain.recipe import Recipe
from pretrain.views.sample import byol_views


def _imagenet(epochs: int, base_lr: float, weight_decay: float, ema_momentum: float) -> Recipe:
    """Return a published preset; the paper gives the rate for 256 images a step."""
    return Recipe(
        source="arXiv 2006.07733, Section 3.3; google-deepmind/deepmind-research byol/configs/byol.py",
        epochs=epochs,
        batch_size=4096,
        optimizer="lars",
        lr=base_lr * 4096 / 256,
        weight_decay=weight_decay,
        decay_all=False,
        warmup_epochs=10,
        method={"ema_momentum": ema_momentum},
    )


class BYOL(Method):
    """Predict what the teacher sees in the other view.

    Args:
        backbone: The online network's backbone.
        dimension: Width of projection and prediction.
        hidden: Width of the hidden layers of projector and predictor.
        ema_momentum: tau_base, the teacher's momentum at the start; it rises to 1 along a cosine.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-1000e": _imagenet(1000, 0.2, 1.5e-6, 0.996),
        "imagenet-300e": _imagenet(300, 0.3, 1e-6, 0.99),
        # NOTE: the length at which others' tables compare it, by the preset of 300; the paper has none of 200.
        "imagenet-200e": _imagenet(200, 0.3, 1e-6, 0.99),
        "imagenet-100e": _imagenet(100, 0.45, 1e-6, 0.99),
        "imagenet-40e": _imagenet(40, 0.45, 1e-6, 0.97),
        "scenes": Recipe(
            source="this project, for a CPU",
            iterations=800,
            batch_size=32,
            optimizer="adamw",
            lr=6e-4,
            warmup_epochs=1,
            method={"image_size": 128, "crop_scale": (0.4, 1.0), "hidden": 1024, "ema_momentum": 0.98},
        ),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 256,
        hidden: int = 4096,
        ema_momentum: float = 0.996,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        self.encoder = Encoder(backbone, GlobalHead(backbone.layout.channels[-1], hidden, dimension, norm=True))
        self.predictor = perceptron(dimension, hidden, dimension, norm=True)
        self.teacher = teacher_of(self.encoder)
        self.ema_momentum = ema_momentum
        self.augment = byol_views(image_size, crop_scale)

    def views(self) -> Augment:
        """Return the two views, which differ in blur and solarisation."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 1), ever more slowly."""
        follow(self.teacher, self.encoder, cosine_momentum(self.ema_momentum, progress))

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the regression of each view's target from the other view, added up (Eq. 2)."""
        predictions = [self.predictor(self.encoder(image)) for image in views.images]  # (B, D) each
        with torch.no_grad():
            targets = [self.teacher(image) for image in views.images]
        return {"loss": cosine_regression(predictions[0], targets[1]) + cosine_regression(predictions[1], targets[0])}

    def export(self) -> nn.Module:
        """Return the online network's backbone."""
        return self.encoder.backbone
