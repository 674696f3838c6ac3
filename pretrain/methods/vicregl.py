"""VICRegL: VICReg on whole images and on matched local features (Bardes, Ponce, LeCun 2022, arXiv 2210.01571)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import ClassVar

import torch
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.backbones.convnext import ConvNeXt
from pretrain.errors import unknown
from pretrain.losses.matching import nearest, pick
from pretrain.losses.vicreg import covariance, invariance, variance
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather_with_gradient
from pretrain.modules.heads import perceptron
from pretrain.modules.multi_crop import each_size
from pretrain.modules.regions import each
from pretrain.recipe import Recipe, adamw, for_scenes, lars
from pretrain.views.geometry import cell_centres
from pretrain.views.sample import RandomViews, byol_views

SOURCE = "arXiv 2210.01571; facebookresearch/VICRegL README.md, main_vicregl.py"
MATCHINGS = ("location", "feature")
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
CONVNEXT = adamw(
    SOURCE,
    100,
    384,
    7.5e-4,
    0.05,
    end_lr=7.5e-7 * 384 / 256,
    method={"head_norm": "layer", "crop_scale": (0.4, 1.0), "small_views": 6},
)


class VICRegL(Method):
    """Regularise an agreement of views, and of the local features that correspond in them.

    # NOTE: the paper prints sums over matches, directions and pairs of views; they are means here, as in the
    # released code. Each large view is paired with every other one.

    Args:
        backbone: The network to train.
        alpha: The global criterion's share of the loss.
        matchings: Which local features correspond: those nearest by "location", by "feature", or by each in turn.
        num_matches: gamma, the closest pairs kept of those that a large and that a small view searches for.
        dimension: Width of the three layers of the expander of the pooled features.
        local_dimension: Width of the three layers of the projector of the local features.
        head_norm: What normalises the hidden layers of both: "batch" or "layer" (ConvNeXt).
        invariance_weight: lambda.
        variance_weight: mu.
        covariance_weight: nu.
        as_released: Follow the released code where it differs from the paper: all pairs matched by feature are kept;
            the first view of a pair keeps num_matches[0] by location and the second num_matches[1], large or small;
            locations ignore that a view is mirrored; and the two branches' variances and covariances are averaged
            instead of added.
        drop_path: Stochastic depth of a ConvNeXt's last block, as in the released code.
        image_size: Side of the two large views in pixels.
        crop_scale: Bounds of their share of the image's area.
        small_views: How many small views there are.
        small_size: Their side in pixels.
        small_scale: Bounds of their share of the image's area.
    """

    paper = Paper("Bardes et al.", 2022, "2210.01571")
    cost = "student 2 views (ConvNeXt: and 6 small ones)"
    families = ("resnet", "convnext", "regnet", "vit")
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        # The cosine ends at a thousandth of the rate.
        "imagenet-300e": lars(SOURCE, 300, 2048, 0.2, 1e-6, end_lr=0.0016),
        "imagenet-100e": lars(SOURCE, 100, 512, 0.3, 1e-6, end_lr=0.0006),
        "imagenet-convnext-small-100e": CONVNEXT,
        "imagenet-convnext-base-400e": replace(CONVNEXT, epochs=400, batch_size=576),  # base lr 5e-4: the same rate
        "scenes": for_scenes(190, image_size=96, dimension=1024, local_dimension=256, num_matches=(4, 4)),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        alpha: float = 0.75,
        matchings: tuple[str, ...] = MATCHINGS,
        num_matches: tuple[int, int] = (20, 4),
        dimension: int = 8192,
        local_dimension: int = 512,
        head_norm: str = "batch",
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        as_released: bool = False,
        drop_path: float = 0.1,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
        small_views: int = 0,
        small_size: int = 96,
        small_scale: tuple[float, float] = (0.08, 0.4),
    ) -> None:
        super().__init__()
        for matching in matchings:
            if matching not in MATCHINGS:
                raise unknown("matching", matching, MATCHINGS)
        if head_norm not in NORMS:
            raise unknown("head_norm", head_norm, NORMS)
        self.backbone = backbone
        if isinstance(backbone, ConvNeXt):
            backbone.drop_path(drop_path)
        self.expander, self.local_projector = (
            perceptron(
                backbone.layout.channels[-1], *[width] * 3, norm=True, last_bias=False, norm_layer=NORMS[head_norm]
            )
            for width in (dimension, local_dimension)
        )
        self.alpha = alpha
        self.as_released = as_released
        branches = 1.0 if as_released else 2.0
        self.weights = (invariance_weight, branches * variance_weight, branches * covariance_weight)
        self.pairs = [(large, other) for large in (0, 1) for other in range(2 + small_views) if other != large]
        self.searches = _searches(self.pairs, matchings, num_matches, as_released)
        # BYOL's two views, which alternate among the small ones too, as in the released code.
        large = byol_views(image_size, crop_scale)
        small = byol_views(small_size, small_scale, blur_size=96)
        self.augment = RandomViews((*large.views, *islice(cycle(small.views), small_views)))

    def views(self) -> Augment:
        """Return two large views, then the small ones."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return alpha L_global + (1 - alpha) L_local (Section 3), and both."""
        maps = self._maps(views.images)  # (B, C, H, W) each
        whole = self._weigh(self._global_terms([self.expander(one.mean(dim=(2, 3))) for one in maps]))
        features = [each(self.local_projector, one.flatten(2).transpose(1, 2)) for one in maps]  # (B, H W, D) each
        boxes = zip(views.boxes, views.flips, maps, strict=True)
        positions = [cell_centres(box, flip & (not self.as_released), *one.shape[2:]) for box, flip, one in boxes]
        local = self._weigh(self._local_terms(features, positions))
        loss = self.alpha * whole + (1 - self.alpha) * local
        return {"loss": loss, "loss_global": whole.detach(), "loss_local": local.detach()}

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.backbone

    def _maps(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Encode the views, those of one size together where no batch norm would mix them."""
        if isinstance(self.backbone, ConvNeXt):
            return each_size(self.backbone, images)
        return [self.backbone(image) for image in images]

    def _weigh(self, terms: Sequence[Tensor]) -> Tensor:
        return torch.stack([weight * term for weight, term in zip(self.weights, terms, strict=True)]).sum()

    def _global_terms(self, embeddings: list[Tensor]) -> list[Tensor]:
        agreements = [invariance(embeddings[large], embeddings[other]) for large, other in self.pairs]
        return [torch.stack(agreements).mean(), *_regularisers(embeddings)]

    def _local_terms(self, features: list[Tensor], positions: list[Tensor]) -> list[Tensor]:
        """Return the terms of the matched features, added up over the matchings, a direction's mean."""
        found = []
        for (matching, query, candidate, count), times in self.searches.items():
            by = positions if matching == "location" else features
            kept, partner = nearest(by[query], by[candidate], count)
            pair = pick(features[query], kept), pick(features[candidate], partner)  # (B, gamma, D) each
            found.append(times * torch.stack([invariance(*pair), *_regularisers(pair)]))
        return list(torch.stack(found).sum(dim=0) / (2 * len(self.pairs)))


def _regularisers(embeddings: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean variance and covariance of the global batch's embeddings."""
    batches = [gather_with_gradient(embedding) for embedding in embeddings]
    return [torch.stack([term(batch) for batch in batches]).mean() for term in (variance, covariance)]


def _searches(
    pairs: Sequence[tuple[int, int]], matchings: Sequence[str], num_matches: tuple[int, int], as_released: bool
) -> Counter[tuple[str, int, int, int | None]]:
    """Return how often each search counts: the matching, the searching view, the other one, and gamma."""
    searches: Counter[tuple[str, int, int, int | None]] = Counter()
    for matching in matchings:
        for large, other in pairs:
            counts: tuple[int | None, int | None] = (num_matches[0], num_matches[0] if other < 2 else num_matches[1])
            if as_released:
                counts = num_matches if matching == "location" else (None, None)
            searches[matching, large, other, counts[0]] += 1
            searches[matching, other, large, counts[1]] += 1
    return searches
