"""DetCon-S: contrastive detection on SimCLR's network (Henaff et al. 2021, arXiv 2103.10957)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.detcon import Contrast, both_views
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather_with_gradient, places
from pretrain.modules.heads import perceptron
from pretrain.modules.regions import RegionEncoder
from pretrain.recipe import Recipe, for_scenes, lars
from pretrain.views.regions import RegionViews
from pretrain.views.sample import simclr_views


class DetConS(Method):
    """Find an image's region in the other view among the regions of all images, by one network.

    # NOTE: no code was released for DetCon-S. Views, widths of the head and the recipe for ImageNet are SimCLR's. The
    head's form, and that each view goes through the network on its own, are the released DetCon-B's: no batch norm on
    the output, as SimCLR's released head has, and no bias on the last layer.

    Args:
        backbone: The network to train.
        regions: Regions drawn per view.
        dimension: Width of the projection.
        hidden: Width of the projector's hidden layer; None takes the backbone's channels, as in SimCLR.
        temperature: tau.
        one_view: See `Contrast`, as for the next two.
        local_negatives: Whether an image's other regions are negatives.
        negative_images: From how many images of the batch negatives come; None takes all.
        colour_strength: s, the strength of SimCLR's colour distortion.
        image_size: Side of the views in pixels; the paper's ablation has 224, 384 and 512.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Henaff et al.", 2021, "2103.10957")
    cost = "student 2 views"
    reads_regions = True
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-200e": lars("SimCLR's, arXiv 2002.05709, Section 2.2", 200, 4096, 0.3, 1e-6),
        "scenes": for_scenes(185, image_size=96, colour_strength=0.5),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        regions: int = 16,
        dimension: int = 128,
        hidden: int | None = None,
        temperature: float = 0.1,
        one_view: bool = False,
        local_negatives: bool = True,
        negative_images: int | None = None,
        colour_strength: float = 1.0,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        channels = backbone.layout.channels[-1]
        head = perceptron(channels, hidden or channels, dimension, norm=True, last_bias=False)
        self.encoder = RegionEncoder(backbone, head)
        self.contrast = Contrast(temperature, one_view, local_negatives, negative_images)
        views = simclr_views(image_size, crop_scale, colour_strength)
        self.augment = RegionViews(views, backbone.layout.strides[-1], regions)

    def views(self) -> Augment:
        """Return SimCLR's two views, with regions drawn in each."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the contrastive detection loss of both views, added up (Eq. 3); both sides take gradients."""
        assert views.masks is not None and views.regions is not None
        pairs = zip(views.images, views.masks, strict=True)
        projections = [F.normalize(self.encoder(*pair).float(), dim=2) for pair in pairs]  # (B, M, D) each
        targets = [gather_with_gradient(projection) for projection in projections]
        own = places(len(views.images[0]), views.images[0].device)
        return {"loss": both_views(projections, targets, views.regions, own, self.contrast)}

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.encoder.backbone
