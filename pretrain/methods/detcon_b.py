"""DetCon-B: contrastive detection on BYOL's networks (Henaff et al. 2021, arXiv 2103.10957)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.losses.detcon import Contrast, both_views
from pretrain.method import Augment, Method, Paper, Views
from pretrain.modules.distributed import gather, places
from pretrain.modules.heads import perceptron
from pretrain.modules.regions import RegionEncoder, each
from pretrain.modules.teacher import cosine_momentum, follow, teacher_of
from pretrain.recipe import Recipe, for_scenes, lars
from pretrain.views.regions import RegionViews
from pretrain.views.sample import byol_views

SOURCE = "arXiv 2103.10957; google-deepmind/detcon detcon_b_config.py, main_loop.py: 0.2 x batch / 256"


class DetConB(Method):
    """Find an image's region in the teacher's other view among the regions of all images.

    Args:
        backbone: The online network's backbone.
        regions: Regions drawn per view.
        dimension: Width of projection and prediction.
        hidden: Width of the hidden layers of projector and predictor.
        temperature: tau.
        one_view: See `Contrast`, as for the next two.
        local_negatives: Whether an image's other regions are negatives.
        negative_images: From how many images of the batch negatives come; None takes all.
        ema_momentum: tau_base, the teacher's momentum at the start; it rises to 1 along a cosine.
        image_size: Side of the views in pixels; the paper's ablation has 224, 384 and 512.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("Henaff et al.", 2021, "2103.10957")
    cost = "student 2 views, teacher 2"
    reads_regions = True
    norms_across_ranks = True
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-1000e": lars(SOURCE, 1000, 4096, 0.2, 1.5e-6),
        # NOTE: the released code warms up for a hundredth of the epochs, whatever its config says.
        "imagenet-200e": lars(SOURCE, 200, 4096, 0.2, 1.5e-6, warmup_epochs=2),
        "scenes": for_scenes(165, image_size=96, hidden=1024, ema_momentum=0.98),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        regions: int = 16,
        dimension: int = 256,
        hidden: int = 4096,
        temperature: float = 0.1,
        one_view: bool = False,
        local_negatives: bool = True,
        negative_images: int | None = None,
        ema_momentum: float = 0.996,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.08, 1.0),
    ) -> None:
        super().__init__()
        # NOTE: no bias on the last layers, as in the released code; the paper does not say.
        head = perceptron(backbone.layout.channels[-1], hidden, dimension, norm=True, last_bias=False)
        self.encoder = RegionEncoder(backbone, head)
        self.predictor = perceptron(dimension, hidden, dimension, norm=True, last_bias=False)
        # NOTE: the teacher starts as a copy; the released code's is drawn on its own.
        self.teacher = teacher_of(self.encoder)
        self.contrast = Contrast(temperature, one_view, local_negatives, negative_images)
        self.ema_momentum = ema_momentum
        self.augment = RegionViews(byol_views(image_size, crop_scale), backbone.layout.strides[-1], regions)

    def views(self) -> Augment:
        """Return BYOL's two views, with regions drawn in each."""
        return self.augment

    def before_step(self, progress: float) -> None:
        """Let the teacher follow, ever more slowly."""
        follow(self.teacher, self.encoder, cosine_momentum(self.ema_momentum, progress))

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the contrastive detection loss of both views, added up (Eq. 3)."""
        assert views.masks is not None and views.regions is not None
        pairs = list(zip(views.images, views.masks, strict=True))
        predictions = [F.normalize(each(self.predictor, self.encoder(*pair)).float(), dim=2) for pair in pairs]
        with torch.no_grad():
            targets = [gather(F.normalize(self.teacher(*pair).float(), dim=2)) for pair in pairs]
        own = places(len(views.images[0]), views.images[0].device)
        return {"loss": both_views(predictions, targets, views.regions, own, self.contrast)}

    def export(self) -> nn.Module:
        """Return the online network's backbone."""
        return self.encoder.backbone
