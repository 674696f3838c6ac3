"""SimCLR: contrast two views of an image with all other views of the batch.

Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.nt_xent import nt_xent
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather_views, places
from pretrain.modules.heads import Encoder, GlobalHead, scaling_norm
from pretrain.recipe import Recipe, for_scenes, lars
from pretrain.views.sample import simclr_views

SOURCE = "arXiv 2002.05709, Section 2.2 and Appendix B.1: 0.3 x batch / 256"


class SimCLR(Method):
    """Find an image's other view among all views of the batch.

    Args:
        backbone: The network to train.
        dimension: Width of the projection.
        hidden: Width of the projection's hidden layer; None takes the backbone's channels (2048 for ResNet-50, as
            in the paper).
        head_norm: Batch norm in the head, also on its output, where it learns a scale and no offset, as in the
            released code; the paper's equation of the head has none.
        temperature: tau.
        colour_strength: s, the strength of the colour distortion (Appendix A).
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Chen et al.", 2020, "2002.05709")
    cost = "student 2 views"
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        # NOTE: weight decay 1e-6 as in the paper; the released code's README has 1e-4.
        "imagenet-1000e": lars(SOURCE, 1000, 4096, 0.3, 1e-6),
        # The length at which others' tables compare it; they do not state a batch.
        "imagenet-200e": lars(SOURCE, 200, 4096, 0.3, 1e-6),
        "scenes": for_scenes(360, colour_strength=0.5, temperature=0.2),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        dimension: int = 128,
        hidden: int | None = None,
        head_norm: bool = True,
        temperature: float = 0.1,
        colour_strength: float = 1.0,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        channels = backbone.layout.channels[-1]
        last_norm = scaling_norm if head_norm else None
        widths = (channels, hidden or channels, dimension)
        head = GlobalHead(*widths, norm=head_norm, last_bias=not head_norm, last_norm=last_norm)
        self.encoder = Encoder(backbone, head)
        self.temperature = temperature
        self.augment = simclr_views(image_size, crop_scale, colour_strength)

    def views(self) -> Augment:
        """Return two views with the paper's strong colour distortion."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return NT-Xent over the global batch (Eq. 1); both views share their batch norm statistics."""
        projections = F.normalize(self.encoder(torch.cat(views.images)).float(), dim=1)  # (2 B, D)
        queries = torch.stack(projections.chunk(2))
        own = places(queries.shape[1], queries.device)
        return {"loss": nt_xent(queries, gather_views(queries), own, self.temperature)}

    def export(self) -> nn.Module:
        """Return the backbone."""
        return self.encoder.backbone
