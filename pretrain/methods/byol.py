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
from pretrain.losses.vicreg import covariance, variance
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather_with_gradient
from pretrain.modules.heads import Encoder, GlobalHead, perceptron
from pretrain.modules.teacher import cosine_momentum, follow, teacher_of
from pretrain.recipe import Recipe, for_scenes, lars
from pretrain.views.sample import byol_views

SOURCE = "arXiv 2006.07733, Section 3.3; google-deepmind/deepmind-research byol/configs/byol.py"


class BYOL(Method):
    """Predict what the teacher sees in the other view.

    Args:
        backbone: The online network's backbone.
        dimension: Width of projection and prediction.
        hidden: Width of the hidden layers of projector and predictor.
        ema_momentum: tau_base, the teacher's momentum at the start; it rises to 1 along a cosine.
        momentum_encoder: Let the teacher follow slowly; else it is the online network of this very step (Table 5a, the
            row of tau = 0).
        variance_weight: mu of VICReg's variance term on both views' projections (VICReg, arXiv 2105.04906, Table 4).
        covariance_weight: nu of its covariance term, likewise.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Grill et al.", 2020, "2006.07733")
    cost = "student 2 views, teacher 2"
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-1000e": lars(SOURCE, 1000, 4096, 0.2, 1.5e-6, method={"ema_momentum": 0.996}),
        "imagenet-300e": lars(SOURCE, 300, 4096, 0.3, 1e-6, method={"ema_momentum": 0.99}),
        # NOTE: the length at which others' tables compare it, by the preset of 300; the paper has none of 200.
        "imagenet-200e": lars(SOURCE, 200, 4096, 0.3, 1e-6, method={"ema_momentum": 0.99}),
        "imagenet-100e": lars(SOURCE, 100, 4096, 0.45, 1e-6, method={"ema_momentum": 0.99}),
        "imagenet-40e": lars(SOURCE, 40, 4096, 0.45, 1e-6, method={"ema_momentum": 0.97}),
        "scenes": for_scenes(320, hidden=1024, ema_momentum=0.98),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 256,
        hidden: int = 4096,
        ema_momentum: float = 0.996,
        momentum_encoder: bool = True,
        variance_weight: float = 0.0,
        covariance_weight: float = 0.0,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        # NOTE: no bias on the last layers, as in the released code; the paper does not say.
        head = GlobalHead(backbone.layout.channels[-1], hidden, dimension, norm=True, last_bias=False)
        self.encoder = Encoder(backbone, head)
        self.predictor = perceptron(dimension, hidden, dimension, norm=True, last_bias=False)
        # NOTE: the teacher starts as a copy; the released code's is drawn on its own.
        self.teacher = teacher_of(self.encoder)
        self.ema_momentum = ema_momentum
        self.momentum_encoder = momentum_encoder
        self.regularisers = ((variance, variance_weight), (covariance, covariance_weight))
        self.augment = byol_views(image_size, crop_scale)

    def views(self) -> Augment:
        """Return the two views, which differ in blur and solarisation."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow (Eq. 1), ever more slowly."""
        momentum = cosine_momentum(self.ema_momentum, progress) if self.momentum_encoder else 0.0
        follow(self.teacher, self.encoder, momentum)

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the regression of each view's target from the other view, added up (Eq. 2)."""
        projections = [self.encoder(image) for image in views.images]  # (B, D) each
        first, second = (self.predictor(projection) for projection in projections)
        with torch.no_grad():
            targets = [self.teacher(image) for image in views.images]
        loss = cosine_regression(first, targets[1]) + cosine_regression(second, targets[0])
        for term, weight in self.regularisers:
            if weight:
                loss = loss + weight * sum(term(gather_with_gradient(projection)) for projection in projections)
        return {"loss": loss}

    def export(self) -> nn.Module:
        """Return the online network's backbone."""
        return self.encoder.backbone
