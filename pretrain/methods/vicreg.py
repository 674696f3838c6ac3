"""VICReg: agree on two views while every dimension varies and no two dimensions covary.

Bardes, Ponce, LeCun 2022, arXiv 2105.04906.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone, build
from pretrain.errors import UsageError, unknown
from pretrain.losses.vicreg import covariance, invariance, variance
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather_with_gradient
from pretrain.modules.heads import Encoder, GlobalHead
from pretrain.recipe import Recipe, for_scenes, lars
from pretrain.views.sample import View, byol_views, twice

SOURCE = "arXiv 2105.04906, Appendix C; facebookresearch/vicreg README.md"
EMBEDDING_NORMS = ("none", "standard", "l2")


class VICReg(Method):
    """Regularise an agreement of embeddings by their variance and covariance.

    Args:
        backbone: The network to train, and to save.
        other_arch: The architecture of a second network, with weights and an expander of its own, for the second view;
            None shares the first (Table 5).
        dimension: Width of the expander's three layers.
        expander_norm: Normalise its hidden layers by batch norm (Table 8).
        embedding_norm: What is done to its output before all terms: "none", "standard" (each dimension gets mean 0 and
            variance 1 over the batch) or "l2" (each embedding gets length 1; Table 8).
        invariance_weight: lambda.
        variance_weight: mu.
        covariance_weight: nu.
        halve_variance: Average the two branches' variance terms, as the released code does; the paper adds them.
        asymmetric_views: Take BYOL's two different views, as the released code does; the paper draws both alike.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Bardes et al.", 2022, "2105.04906")
    cost = "student 2 views"
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        # NOTE: the cosine ends at a thousandth of the rate, as in the released code; the paper says 0.002.
        "imagenet-1000e": lars(SOURCE, 1000, 2048, 0.2, 1e-6, end_lr=0.0016),
        "imagenet-100e": lars(SOURCE, 100, 512, 0.3, 1e-6, end_lr=0.0006),
        "scenes": for_scenes(340, dimension=1024),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        other_arch: str | None = None,
        dimension: int = 8192,
        expander_norm: bool = True,
        embedding_norm: str = "none",
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
        halve_variance: bool = False,
        asymmetric_views: bool = False,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        if embedding_norm not in EMBEDDING_NORMS:
            raise unknown("embedding_norm", embedding_norm, EMBEDDING_NORMS)
        last_norm = partial(nn.BatchNorm1d, affine=False) if embedding_norm == "standard" else None
        expander = partial(GlobalHead, norm=expander_norm, last_bias=False, last_norm=last_norm)
        trunks = (backbone,) if other_arch is None else (backbone, build(other_arch))
        if trunks[-1].layout.family not in self.families:
            found = (
                f"vicreg trains the families {', '.join(self.families)}; {other_arch} is a {trunks[-1].layout.family}."
            )
            raise UsageError(found, "Choose another other_arch.")
        heads = [expander(trunk.layout.channels[-1], dimension, dimension, dimension) for trunk in trunks]
        self.branches = nn.ModuleList(Encoder(trunk, head) for trunk, head in zip(trunks, heads, strict=True))
        self.embedding_norm = embedding_norm
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight / 2 if halve_variance else variance_weight
        self.covariance_weight = covariance_weight
        alike = View(image_size, crop_scale, jitter=(0.4, 0.4, 0.2, 0.1), solarise_probability=0.1)
        self.augment = byol_views(image_size, crop_scale) if asymmetric_views else twice(alike)

    def views(self) -> Augment:
        """Return two views."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return lambda s(Z, Z') + mu (v(Z) + v(Z')) + nu (c(Z) + c(Z')) (Eq. 6), and the three terms."""
        branches = (self.branches[0], self.branches[-1])
        first, second = (self._embed(*one) for one in zip(branches, views.images, strict=True))  # (B, D) each
        agreement = invariance(first, second)
        whole = [gather_with_gradient(embedding) for embedding in (first, second)]  # (N, D) each
        spread = variance(whole[0]) + variance(whole[1])
        redundancy = covariance(whole[0]) + covariance(whole[1])
        loss = self.invariance_weight * agreement + self.variance_weight * spread + self.covariance_weight * redundancy
        terms = {"loss_invariance": agreement, "loss_variance": spread, "loss_covariance": redundancy}
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}

    def export(self) -> nn.Module:
        """Return the first branch's backbone."""
        return self.branches[0].get_submodule("backbone")

    def _embed(self, branch: nn.Module, images: Tensor) -> Tensor:
        embedding: Tensor = branch(images)
        # NOTE: the terms stay as they are: unit vectors cannot have the variance that the variance term asks for.
        return F.normalize(embedding.float(), dim=1) if self.embedding_norm == "l2" else embedding
