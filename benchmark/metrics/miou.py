"""Mean intersection over union of semantic segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from numpy.typing import NDArray
from torch import Tensor

from benchmark.metrics.arrays import require_same_size, to_map
from pretrain.errors import DensebenchError


@METRICS.register_module()
class MeanIoU(BaseMetric):
    """mIoU, aAcc (share of right pixels) and mAcc (mean recall of the classes), in percent.

    A class that occurs neither in prediction nor in ground truth is left out of mIoU; one that does not occur
    in the ground truth is left out of mAcc; `evaluated_classes` says how many do occur there. Labels keep their own
    resolution; nothing is resized here.

    Args:
        num_classes: Number of classes C.
        ignore_index: The label of pixels that do not count.
        collect_device: "cpu" or "gpu", as mmengine has it.

    Raises:
        DensebenchError: A label is outside 0..C-1, a map's size differs from its label's, or no pixel counts.
    """

    default_prefix = ""

    def __init__(self, num_classes: int, ignore_index: int = 255, collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep each image's right, predicted and true pixels of every class, (3, C)."""
        for sample in data_samples:
            image = str(sample.get("seg_map_path") or sample.get("img_path") or "an image")
            predicted = to_map(sample["pred_sem_seg"]["data"])
            truth = to_map(sample["gt_sem_seg"]["data"])
            require_same_size(predicted, truth, image)
            matrix = confusion_matrix(predicted, truth, self.num_classes, self.ignore_index, image)
            self.results.append(np.stack([matrix.diagonal(), matrix.sum(0), matrix.sum(1)]))

    def compute_metrics(self, results: list[NDArray[np.int64]]) -> dict[str, float]:
        """Sum the images and take the means."""
        right, predicted, true = np.sum(results, axis=0) if results else np.zeros((3, self.num_classes), np.int64)
        return {**mean_iou(right, predicted, true), "evaluated_classes": int((true > 0).sum())}


def confusion_matrix(
    predicted: Tensor, truth: Tensor, classes: int, ignore_index: int = 255, image: str = "an image"
) -> NDArray[np.int64]:
    """Count pixels by true class (rows) and predicted class (columns), (C, C).

    Args:
        predicted: Predicted classes, (H, W).
        truth: True classes, (H, W).
        classes: Number of classes C.
        ignore_index: True label of pixels that do not count.
        image: What errors call this image.

    Raises:
        DensebenchError: A class that counts lies outside 0..C-1.
    """
    counts = truth != ignore_index
    true, guess = truth[counts].long(), predicted[counts].long()
    for name, values in (("label", true), ("prediction", guess)):
        outside = values[(values < 0) | (values >= classes)]
        if len(outside):
            raise DensebenchError(
                f"{image} has the {name} {int(outside[0])}, expected 0 to {classes - 1} "
                f"(or {ignore_index}, which is ignored).",
                "Check the classes of the data set and the folder of its labels.",
            )
    matrix: NDArray[np.int64] = torch.bincount(true * classes + guess, minlength=classes**2).numpy()
    return matrix.reshape(classes, classes)


def mean_iou(right: NDArray[np.int64], predicted: NDArray[np.int64], true: NDArray[np.int64]) -> dict[str, float]:
    """Compute mIoU, aAcc and mAcc in percent from pixel counts of every class, each (C,).

    Raises:
        DensebenchError: There is no pixel to count.
    """
    if true.sum() == 0:
        raise DensebenchError("No evaluated pixel has a label.", "Check the label folder and the ignored label.")
    union = predicted + true - right
    return {
        "mIoU": 100 * float(np.mean(right[union > 0] / union[union > 0])),
        "aAcc": 100 * float(right.sum() / true.sum()),
        "mAcc": 100 * float(np.mean(right[true > 0] / true[true > 0])),
    }
