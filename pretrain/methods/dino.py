"""DINO: self-distillation with no labels (Caron et al. 2021, arXiv 2104.14294)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.backbones.vit import ViT
from pretrain.errors import UsageError, unknown
from pretrain.losses.self_distillation import across_views, entropy, mean_squared_error
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.heads import PrototypeHead, ScoreLinear
from pretrain.modules.multi_crop import MultiCropEncoder
from pretrain.modules.targets import Targets
from pretrain.modules.teacher import cosine_momentum, follow, linear_warmup, teacher_of
from pretrain.recipe import Recipe, dino_recipe, for_scenes
from pretrain.views.sample import dino_views

SOURCE = "arXiv 2104.14294, Section 3.2; facebookresearch/dino README.md, main_dino.py"
OBJECTIVES = ("cross-entropy", "mse")
VANILLA = {"freeze_last_layer": 0.01, "teacher_temperature": 0.04}


class DINO(Method):
    """Predict, from any view, what the teacher makes of the image's other global views.

    Args:
        backbone: The student's backbone.
        dimension: K, the output's width.
        hidden: Width of the head's hidden layers.
        bottleneck: Width of the head's L2-normalised layer.
        norm: Batch norm in the head; the paper's system with ViTs is free of it.
        unit_last_layer: Keep the last layer's rows at length 1; the authors set it free for ViT-S.
        freeze_last_layer: Share of the steps, from the first on, in which the last layer stays as it is.
        temperature: tau_s, the student's.
        teacher_temperature: tau_t after its warm-up.
        first_teacher_temperature: tau_t at the first step.
        temperature_warmup: Share of the steps in which tau_t rises.
        centre_momentum: m of the centre.
        ema_momentum: The teacher's momentum at the start; it rises to 1 along a cosine.
        momentum_encoder: Let the teacher follow slowly; else it is the student of this very step (Table 7, row 2).
        normalisation: What keeps the teacher from collapsing, "centre" or "sinkhorn" (row 3).
        objective: "cross-entropy" or "mse", with the centred and L2-normalised outputs of the teacher (row 5).
        predictor: Add a perceptron to the student's output (row 6).
        drop_path: Stochastic depth of a ViT student's last block.
        image_size: Side of the two global views in pixels.
        crop_scale: Bounds of a global crop's share of the image's area.
        local_views: How many small views; 0 for no multi-crop (row 4).
        local_size: Their side in pixels.
        local_scale: Bounds of a local crop's share of the image's area.
    """

    paper = Paper("Caron et al.", 2021, "2104.14294")
    cost = "student 2 views and 8 small ones, teacher 2"
    families = ("vit", "resnet", "regnet", "convnext")
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-300e": dino_recipe(f"{SOURCE}: ViT-S, boosted", 300, 1024, method={"unit_last_layer": False}),
        "imagenet-100e": dino_recipe(f"{SOURCE}: ViT, vanilla", 100, 512, method=VANILLA),
        "imagenet-100e-resnet": dino_recipe(
            f"{SOURCE}: ResNet-50",
            100,
            512,
            0.03,
            1e-4,
            optimizer="sgd",
            end_weight_decay=None,
            method={**VANILLA, "crop_scale": (0.14, 1.0), "local_scale": (0.05, 0.14)},
        ),
        # In few steps on few images, a student foresees too little of what the teacher makes of another crop: with the
        # centre, each follows the other into uniform outputs. Sharp targets that use all prototypes hold against that.
        "scenes": for_scenes(
            480,
            image_size=128,
            dimension=1024,
            hidden=512,
            norm=True,
            normalisation="sinkhorn",
            first_teacher_temperature=0.01,
            teacher_temperature=0.01,
            ema_momentum=0.99,
            local_views=4,
            local_size=64,
            local_scale=(0.1, 0.4),
        ),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 65536,
        hidden: int = 2048,
        bottleneck: int = 256,
        norm: bool = False,
        unit_last_layer: bool = True,
        freeze_last_layer: float = 1 / 300,
        temperature: float = 0.1,
        teacher_temperature: float = 0.07,
        first_teacher_temperature: float = 0.04,
        temperature_warmup: float = 0.1,
        centre_momentum: float = 0.9,
        ema_momentum: float = 0.996,
        momentum_encoder: bool = True,
        normalisation: str = "centre",
        objective: str = "cross-entropy",
        predictor: bool = False,
        drop_path: float = 0.1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.4, 1.0),
        local_views: int = 8,
        local_size: int = 96,
        local_scale: tuple[float, float] = (0.05, 0.4),
    ) -> None:
        super().__init__()
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, OBJECTIVES)
        if objective == "mse" and normalisation == "sinkhorn":
            found = "objective=mse compares outputs, and normalisation=sinkhorn makes probabilities of them."
            raise UsageError(found, "Set normalisation=centre.")
        if isinstance(backbone, ViT):
            nn.init.trunc_normal_(backbone.cls_token, std=0.02)  # the authors'; timm's is all but 0
        head = PrototypeHead(backbone.layout.channels[-1], hidden, bottleneck, dimension, norm, unit_last_layer)
        self.student = MultiCropEncoder(backbone, head)
        self.teacher = teacher_of(self.student)
        layers = (nn.Linear(dimension, hidden), nn.GELU(), ScoreLinear(hidden, dimension)) if predictor else ()
        self.predictor = nn.Sequential(*layers)
        self.targets = Targets(dimension, centre_momentum, normalisation)
        if isinstance(backbone, ViT):
            backbone.drop_path(drop_path)
        self.freeze_last_layer = freeze_last_layer
        self.frozen = False
        self.temperature = temperature
        self.teacher_temperatures = (first_teacher_temperature, teacher_temperature, temperature_warmup)
        self.teacher_temperature = first_teacher_temperature
        self.ema_momentum = ema_momentum
        self.momentum_encoder = momentum_encoder
        self.objective = objective
        self.augment = dino_views(image_size, crop_scale, local_size, local_scale, local_views)

    def views(self) -> Augment:
        """Return multi-crop: two global views and several local ones."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow; set its temperature; freeze or free the last layer."""
        momentum = cosine_momentum(self.ema_momentum, progress) if self.momentum_encoder else 0.0
        follow(self.teacher, self.student, momentum)
        self.teacher_temperature = linear_warmup(*self.teacher_temperatures, progress)
        self.frozen = progress < self.freeze_last_layer

    def resting(self) -> list[nn.Parameter]:
        """Return the student's last layer while it is frozen."""
        return self.student.head.last_parameters() if self.frozen else []

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the cross-entropy over all pairs of a teacher's view and another view (Eq. 3), and H(P_t)."""
        student = [self.predictor(logits) for logits in self.student(views.images)]  # (B, K) a view
        with torch.no_grad():
            teacher = self.teacher(views.images[:2])
            targets = [self.targets(logits, self.teacher_temperature) for logits in teacher]
        if self.objective == "mse":
            loss = mean_squared_error(student, [logits - self.targets.centre for logits in teacher])
        else:
            loss = across_views(student, targets, self.temperature)
        self.targets.update(torch.stack(teacher))
        return {"loss": loss, "teacher_entropy": entropy(torch.stack(targets))}

    def export(self) -> nn.Module:
        """Return the teacher's backbone, which the authors evaluate."""
        return self.teacher.backbone
