"""Supervised pretraining: the classification baseline of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from pretrain.backbones import Backbone
from pretrain.errors import DensebenchError
from pretrain.losses.classification import cross_entropy, sigmoid_cross_entropy
from pretrain.method import Augment, Labels, Method, Paper, Views
from pretrain.recipe import Recipe, for_scenes
from pretrain.views.sample import RandomViews, colourless


class Supervised(Method):
    """Classify images by a linear layer on the mean feature.

    One label an image (the subfolders of an image folder) is learned by cross entropy, several labels an
    image (the embedded scenes) by a sigmoid loss; which of them is decided by the data.

    Args:
        backbone: The network to train.
        classes: Number of classes; taken from the data.
        multi_label: Whether an image can show several classes; taken from the data.
        image_size: Side of the views in pixels.
        crop_scale: Bounds of a crop's share of the image's area.
    """

    paper = Paper("He et al.", 2016, "1512.03385")
    cost = "student 1 view, with labels"
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "imagenet-90e": Recipe(
            source="pytorch/vision references/classification, ResNet: the IMAGENET1K_V1 weights",
            epochs=90,
            batch_size=256,
            lr=0.1,
            schedule="step",
            milestones=(30, 60),
            method={"crop_scale": (0.08, 1.0)},
        ),
        "scenes": for_scenes(640, lr=1e-3),
    }

    def __init__(
        self,
        backbone: Backbone,
        *,
        classes: int,
        multi_label: bool,
        image_size: int = 224,
        crop_scale: tuple[float, float] = (0.2, 1.0),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.layout.channels[-1], classes)
        self.multi_label = multi_label
        self.augment = RandomViews((colourless(image_size, crop_scale),))

    @classmethod
    def data_keywords(cls, images: int, labels: Labels | None) -> dict[str, Any]:
        """Return the number of classes, and whether an image can show several.

        Raises:
            DensebenchError: The images carry no labels.
        """
        if labels is None:
            raise DensebenchError(
                "supervised needs labels, and these images carry none.",
                "Sort the images into one subfolder a class, or give a scenes data root.",
            )
        return {"classes": len(labels.classes), "multi_label": labels.multi}

    def views(self) -> Augment:
        """Return one view: crop and mirror."""
        return self.augment

    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the classification loss."""
        assert views.label is not None
        logits = self.classifier(self.backbone(views.images[0]).mean(dim=(2, 3)))  # (B, classes)
        loss = sigmoid_cross_entropy if self.multi_label else cross_entropy
        return {"loss": loss(logits, views.label)}

    def export(self) -> nn.Module:
        """Return the backbone without the classifier."""
        return self.backbone
