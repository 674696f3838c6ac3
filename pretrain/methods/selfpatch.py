"""SelfPatch: patches agree with their similar neighbours, beside DINO (Yun et al. 2022, arXiv 2206.07990)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.backbones.vit import ViT
from pretrain.errors import UsageError
from pretrain.losses.self_distillation import across_views, cross_entropy
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.class_attention import Aggregation
from pretrain.modules.heads import PrototypeHead
from pretrain.modules.multi_crop import each_size, transformer
from pretrain.modules.neighbours import most_similar, neighbours
from pretrain.modules.targets import Targets
from pretrain.modules.teacher import cosine_momentum, follow, teacher_of
from pretrain.recipe import Recipe, dino_recipe, for_scenes
from pretrain.views.sample import dino_views


class SelfPatch(Method):
    """Predict the teacher's other views as in DINO, and in each patch its most similar neighbours.

    Args:
        backbone: The student's backbone, a ViT.
        patch_weight: lambda, the patch loss's weight beside DINO's.
        positives: k, the most similar neighbours that are gathered.
        neighbourhood: Side of the square of patches they are chosen from, odd.
        wrap_around: Let border patches have neighbours at the opposite border, as in the released code.
        dimension: K, the width of DINO's output.
        patch_dimension: The width of the patches' output.
        hidden: Width of the heads' hidden layers.
        bottleneck: Width of the heads' L2-normalised layer.
        norm: Batch norm in the heads, as DINO's for ResNets; the paper has none.
        freeze_last_layer: Share of the steps, from the first on, in which the last layers stay as they are.
        temperature: tau_s, the student's.
        teacher_temperature: tau_t, the teacher's.
        normalisation: What keeps the teacher from collapsing, "centre" or, beyond the paper, "sinkhorn".
        centre_momentum: m of both centres.
        ema_momentum: The teacher's momentum at the start; it rises to 1 along a cosine.
        drop_path: Stochastic depth of the student's last block.
        image_size: Side of the two global views in pixels.
        crop_scale: Bounds of a global crop's share of the image's area.
        local_views: How many small views.
        local_size: Their side in pixels.
        local_scale: Bounds of a local crop's share of the image's area.
    """

    paper = Paper("Yun et al.", 2022, "2206.07990")
    cost = "student 2 views and 8 small ones, teacher the same"
    families = ("vit",)
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        # NOTE: the released code's default is 300 epochs; the paper's models had 200 (alinlab/SelfPatch issue 2).
        "imagenet-200e": dino_recipe("arXiv 2206.07990; alinlab/SelfPatch main_selfpatch.py", 200, 1024),
        # As of DINO's: the targets are sharp and use all outputs, lest a short run ends in uniform ones.
        "scenes": for_scenes(
            360,
            image_size=128,
            dimension=1024,
            patch_dimension=256,
            hidden=512,
            norm=True,
            normalisation="sinkhorn",
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
        patch_weight: float = 0.1,
        positives: int = 4,
        neighbourhood: int = 3,
        wrap_around: bool = False,
        dimension: int = 65536,
        patch_dimension: int = 4096,
        hidden: int = 2048,
        bottleneck: int = 256,
        norm: bool = False,
        freeze_last_layer: float = 1 / 200,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        normalisation: str = "centre",
        centre_momentum: float = 0.9,
        ema_momentum: float = 0.996,
        drop_path: float = 0.1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.25, 1.0),
        local_views: int = 8,
        local_size: int = 96,
        local_scale: tuple[float, float] = (0.05, 0.25),
    ) -> None:
        super().__init__()
        if neighbourhood % 2 == 0 or neighbourhood < 3:
            raise UsageError(f"neighbourhood should be an odd number from 3 up; {neighbourhood} was given.")
        vit, width = transformer(backbone, "selfpatch"), backbone.layout.channels[-1]
        heads = (PrototypeHead(width, hidden, bottleneck, size, norm) for size in (dimension, patch_dimension))
        self.student = _Network(vit, Aggregation(width, width // 64), *heads)
        self.teacher = teacher_of(self.student)
        vit.drop_path(drop_path)
        self.targets = Targets(dimension, centre_momentum, normalisation)
        self.patch_targets = Targets(patch_dimension, centre_momentum, normalisation)
        self.patch_weight = patch_weight
        self.square = (neighbourhood, wrap_around)
        self.positives = positives
        self.freeze_last_layer = freeze_last_layer
        self.frozen = False
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.ema_momentum = ema_momentum
        self.augment = dino_views(image_size, crop_scale, local_size, local_scale, local_views)

    def views(self) -> Augment:
        """Return DINO's multi-crop."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow, ever more slowly; freeze or free the last layers."""
        follow(self.teacher, self.student, cosine_momentum(self.ema_momentum, progress))
        self.frozen = progress < self.freeze_last_layer

    def resting(self) -> list[nn.Parameter]:
        """Return the student's two last layers while they are frozen."""
        heads = (self.student.head, self.student.patch_head) if self.frozen else ()
        return [parameter for head in heads for parameter in head.last_parameters()]

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return L_DINO + lambda L_SelfPatch, and both."""
        tokens = self.student.tokens(views.images)  # (B, N, D) a view
        with torch.no_grad():
            teacher_tokens = self.teacher.tokens(views.images)
            # NOTE: the released code's centre of the views as wholes takes in the local ones as well; DINO's does not.
            teacher = self.teacher.whole(teacher_tokens[:2])
            teacher_patches = each_size(self._aggregated, teacher_tokens)  # (B, N, K) a view
            targets = [self.targets(logits, self.teacher_temperature) for logits in teacher]
        whole = across_views(self.student.whole(tokens), targets, self.temperature)
        patch = torch.stack(
            [
                cross_entropy(logits, self.patch_targets(target, self.teacher_temperature), self.temperature)
                for logits, target in zip(each_size(self.student.patch_head, tokens), teacher_patches, strict=True)
            ]
        ).mean()
        self.targets.update(torch.stack(teacher))
        self.patch_targets.update(torch.cat([outputs.flatten(0, 1) for outputs in teacher_patches]))
        loss = whole + self.patch_weight * patch
        return {"loss": loss, "loss_global": whole.detach(), "loss_patch": patch.detach()}

    def export(self) -> nn.Module:
        """Return the teacher's backbone, which the authors evaluate."""
        return self.teacher.backbone

    def _aggregated(self, tokens: Tensor) -> Tensor:
        """Return the teacher's outputs of each patch's positives, taken together: (B, N, K)."""
        side = math.isqrt(tokens.shape[1])
        index, valid = (part.to(tokens.device) for part in neighbours(side, side, *self.square))
        near, counts = most_similar(tokens, index, valid, self.positives)
        summed = self.teacher.aggregation(near.flatten(0, 1), counts.flatten(0, 1))  # (B N, D)
        outputs: Tensor = self.teacher.patch_head(summed.unflatten(0, tokens.shape[:2]))
        return outputs


class _Network(nn.Module):
    """Backbone, aggregation module and both heads; student and teacher are one each.

    # NOTE: the authors' backbone has neither class token nor final norm; ours keeps them, and is a plain ViT.
    """

    def __init__(self, backbone: ViT, aggregation: Aggregation, head: PrototypeHead, patch_head: PrototypeHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.aggregation = aggregation
        self.head = head
        self.patch_head = patch_head

    def tokens(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Return the patches' tokens of every view, (B, N, D) each."""
        return each_size(lambda views: self.backbone.tokens(views)[:, 1:], images)

    def whole(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """Return the output of every view as a whole, (B, K) each."""
        return each_size(lambda patches: self.head(self.aggregation(patches)), tokens)
