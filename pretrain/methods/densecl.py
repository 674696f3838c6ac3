"""DenseCL: dense contrastive learning (Wang, Zhang, Shen, Kong, Li 2021, arXiv 2011.09157)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import UsageError, unknown
from pretrain.losses.dense import dense_info_nce, match
from pretrain.losses.info_nce import info_nce
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather
from pretrain.modules.heads import DenseHead, GlobalHead, Headed
from pretrain.modules.momentum_contrast import MomentumContrast
from pretrain.modules.queue import Queue
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.sample import View, twice

MATCHINGS = ("backbone", "projected", "random")


class DenseCL(Method):
    """Contrast two views of an image as wholes, and location by location.

    Args:
        backbone: The query encoder's backbone.
        loss_weight: lambda, the dense loss's share of the loss (Eq. 3).
        dense_warmup: Share of the steps, from the first on, that learn from the global loss alone, for matches
            by untrained features mean nothing (the "chicken-and-egg issue" of Section 3.4).
        matching: What tells which locations correspond: the "backbone" features F (the paper's choice), the
            "projected" dense features Theta, or a "random" draw.
        grid: S; the map is average-pooled to S x S. None takes the backbone's own map (7 x 7 at 224 pixels).
        dimension: Width of both projections.
        hidden: Width of their hidden layers; None takes the backbone's channels (2048 for ResNet-50, as in
            the paper).
        queue_size: Negative keys in each of the two queues, K.
        temperature: tau.
        ema_momentum: The teacher's momentum m.
        batch_norm_groups: See `MomentumContrast`.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Wang et al.", 2021, "2011.09157")
    cost = "student 1 view, teacher 1"
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": Recipe(
            source="arXiv 2011.09157, Section 4.1; WXinlong/DenseCL densecl_imagenet_200ep.py",
            epochs=200,
            batch_size=256,
            lr=0.03,
        ),
        "coco-800e": Recipe(
            source="arXiv 2011.09157, Section 4.1; WXinlong/DenseCL densecl_coco_800ep.py",
            epochs=800,
            batch_size=256,
            lr=0.3,
        ),
        # A short queue and half the rate: keys of an older teacher differ by its drift, and a short run learns it.
        # The warm-up: matches by young features follow the cell's position, which the padding gives away.
        "scenes": for_scenes(480, lr=3e-4, queue_size=512, ema_momentum=0.99, dense_warmup=0.3),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        loss_weight: float = 0.5,
        dense_warmup: float = 0.0,
        matching: str = "backbone",
        grid: int | None = None,
        dimension: int = 128,
        hidden: int | None = None,
        queue_size: int = 65536,
        temperature: float = 0.2,
        ema_momentum: float = 0.999,
        batch_norm_groups: int = 1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        if matching not in MATCHINGS:
            raise unknown("matching", matching, MATCHINGS)
        if not 0 <= dense_warmup < 1:
            raise UsageError(f"dense_warmup is a share of the steps, from 0 to below 1; {dense_warmup} was given.")
        encoder = _Encoder(backbone, hidden or backbone.layout.channels[-1], dimension, grid)
        self.contrast = MomentumContrast(encoder, dimension, queue_size, ema_momentum, batch_norm_groups)
        self.dense_queue = Queue(queue_size, dimension)
        self.loss_weight = loss_weight
        self.dense_warmup = dense_warmup
        self.warming_up = False
        self.matching = matching
        self.temperature = temperature
        self.augment = twice(View(image_size, crop_scale))

    def views(self) -> Augment:
        """Return MoCo v2's augmentation: two views."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow; end the warm-up when its share of the steps is over."""
        self.warming_up = progress < self.dense_warmup
        self.contrast.follow()

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return (1 - lambda) L_q + lambda L_r (Eq. 3), and both terms."""
        queries, keys, negatives = self.contrast(*views.images)
        query, dense_query, _, query_features = queries
        key, dense_key, dense_mean, key_features = keys
        with torch.no_grad():
            correspondence = self._match(query_features, key_features, dense_query, dense_key)
        whole = info_nce(query, key, negatives, self.temperature)
        dense = dense_info_nce(dense_query, dense_key, correspondence, self.dense_queue.keys.clone(), self.temperature)
        self.dense_queue.push(gather(dense_mean))
        weight = 0.0 if self.warming_up else self.loss_weight
        loss = (1 - weight) * whole + weight * dense
        return {"loss": loss, "loss_global": whole.detach(), "loss_dense": dense.detach()}

    def export(self) -> nn.Module:
        """Return the query encoder's backbone."""
        return self.contrast.export()

    def _match(self, features: Tensor, key_features: Tensor, dense: Tensor, key_dense: Tensor) -> Tensor:
        if self.matching == "backbone":
            return match(features, key_features)
        if self.matching == "projected":
            return match(dense, key_dense)
        return torch.randint(key_dense.shape[1], dense.shape[:2], device=dense.device)


class _Encoder(Headed):
    """Backbone, global head and dense head; student and teacher are one each."""

    def __init__(self, backbone: Backbone, hidden: int, dimension: int, grid: int | None) -> None:
        super().__init__(backbone, GlobalHead(backbone.layout.channels[-1], hidden, dimension))
        self.dense_head = DenseHead(backbone.layout.channels[-1], hidden, dimension)
        self.grid = grid

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return projection (B, D), dense projections (B, N, D), their mean (B, D), features (B, N, C).

        All but the features are L2-normalised. N = S x S locations.
        """
        features = self.backbone(images)  # (B, C, H, W)
        # NOTE: the released code pools only what enters the dense head; matching needs the same S x S
        # locations.
        cells = F.adaptive_avg_pool2d(features, self.grid) if self.grid else features
        dense = self.dense_head(cells).flatten(2).transpose(1, 2).float()  # (B, N, D)
        return (
            F.normalize(self.head(features).float(), dim=1),
            F.normalize(dense, dim=2),
            F.normalize(dense.mean(dim=1), dim=1),
            cells.flatten(2).transpose(1, 2),
        )
