"""The contract of a self-supervised method: how it sees an image, and its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.recipe import Recipe


@dataclass
class Sample:
    """One image as it was read.

    Attributes:
        image: RGB, uint8, (H, W, 3).
        index: The image's number in its data set.
        label: A class index, a multi-hot vector (classes,), or None.
        masks: Planes of region ids, uint16, (P, H, W), 0 for no region; or None.
    """

    image: np.ndarray
    index: int
    label: int | np.ndarray | None = None
    masks: np.ndarray | None = None


@dataclass
class Views:
    """The views of a sample, or of a batch of B samples (a leading dimension B everywhere).

    Attributes:
        images: One (B, 3, H, W) float32 tensor a view, normalised; the views may differ in H and W.
        boxes: One (B, 4) tensor a view: the crop's x0, y0, x1, y1 in pixels of the original image.
        flips: One (B,) bool tensor a view: whether the crop was then mirrored horizontally.
        index: The samples' numbers, (B,).
        masks: The drawn regions in the features' cells, one bool (B, M, h, w) tensor a view, or None.
        regions: The drawn regions' ids, one (B, M) tensor a view, or None.
        label: Class indices (B,), multi-hot vectors (B, classes), or None.
        colours: How the images, still uint8, are to be recoloured (`pretrain.views.batched`), one (B, 11) tensor a
            view; None where they are.
    """

    images: list[Tensor]
    boxes: list[Tensor]
    flips: list[Tensor]
    index: Tensor
    masks: list[Tensor] | None = None
    regions: list[Tensor] | None = None
    label: Tensor | None = None
    colours: list[Tensor] | None = None

    def to(self, device: torch.device) -> Views:
        """Return the views on `device`; the images in channels_last layout."""
        moved = {
            item.name: _map(getattr(self, item.name), lambda tensor: tensor.to(device, non_blocking=True))
            for item in fields(self)
        }
        images = [image.contiguous(memory_format=torch.channels_last) for image in moved["images"]]
        return replace(self, **{**moved, "images": images})

    def pin_memory(self) -> Views:
        """Return the views in page-locked memory; the loader calls it, so that copies to a GPU need not wait."""
        return replace(self, **{item.name: _map(getattr(self, item.name), Tensor.pin_memory) for item in fields(self)})


Augment = Callable[[Sample, np.random.Generator], Views]
Collate = Callable[[Sequence[Views]], Views]


@dataclass(frozen=True)
class Labels:
    """The labels a data set carries.

    Attributes:
        classes: The classes' names.
        multi: Whether an image can have several classes at once.
    """

    classes: tuple[str, ...]
    multi: bool


@dataclass(frozen=True)
class Paper:
    """Where a method was published.

    Attributes:
        authors: As one cites them.
        year: Of the publication.
        arxiv: Its number, such as "2011.09157".
    """

    authors: str
    year: int
    arxiv: str


class Method(nn.Module, ABC):
    """A self-supervised method: augmentation, modules and loss, and nothing else.

    Subclasses take the backbone and flat keywords in the paper's words. They own no device, optimizer, file
    or process group, and share `losses`, `modules` and `views`.
    """

    recipes: ClassVar[Mapping[str, Recipe]]
    paper: ClassVar[Paper]
    cost: ClassVar[str]
    """How many views of an image pass through the backbone in a step: "student 2 views, teacher 1"."""
    families: ClassVar[tuple[str, ...]] = ("resnet", "regnet", "convnext", "vit")
    """The architecture families it trains, the paper's own first; by default all whose last map is a grid."""
    norms_across_ranks: ClassVar[bool] = False
    """Whether batch norm takes its statistics from the global batch, as the paper's does (on GPUs)."""
    reads_regions: ClassVar[bool] = False
    """Whether the samples' masks are needed."""

    @classmethod
    def data_keywords(cls, images: int, labels: Labels | None) -> dict[str, Any]:
        """Return the keywords which the data decides, the number of images and their labels; none by default."""
        return {}

    @abstractmethod
    def views(self) -> Augment:
        """Return the augmentation: picklable, run in the workers, random by its generator alone."""

    @abstractmethod
    def loss(self, views: Views) -> dict[str, Tensor]:
        """Return the "loss" of a batch, and what else is worth logging."""

    def before_step(self, progress: float) -> None:
        """Do what comes before a step (EMA, schedules); `progress` runs from 0 to 1."""
        return

    def resting(self) -> Sequence[nn.Parameter]:
        """Return the parameters that the coming step leaves as they are: no gradient, no decay, no moments."""
        return ()

    @torch.no_grad()
    def features(self, views: Views) -> Tensor:
        """Return the backbone's mean features of the first view, (B, C), by which collapse is recognised."""
        backbone = self.export()
        training = backbone.training
        features: Tensor = backbone.eval()(views.images[0]).flatten(2).mean(dim=2)
        backbone.train(training)
        return features

    def collate(self) -> Collate:
        """Return what joins samples' views into a batch: picklable, run in the workers."""
        return stack

    @abstractmethod
    def export(self) -> nn.Module:
        """Return the backbone worth saving; a part of this module, not a copy."""


def stack(views: Sequence[Views]) -> Views:
    """Stack samples' views, whose sizes must agree, along a new first dimension.

    The images come out in channels_last layout: as they are in memory already, so that nothing is rearranged.
    """
    columns: dict[str, Any] = {}
    for item in fields(Views):
        values = [getattr(one, item.name) for one in views]
        if item.name == "images":
            columns[item.name] = [_stack_images(column) for column in zip(*values, strict=True)]
        elif values[0] is None:
            columns[item.name] = None
        elif isinstance(values[0], list):
            columns[item.name] = [torch.stack(list(column)) for column in zip(*values, strict=True)]
        else:
            columns[item.name] = torch.stack(values)
    return Views(**columns)


def _stack_images(images: Sequence[Tensor]) -> Tensor:
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def _map(value: Any, move: Callable[[Tensor], Tensor]) -> Any:
    if value is None:
        return None
    return [move(tensor) for tensor in value] if isinstance(value, list) else move(value)
