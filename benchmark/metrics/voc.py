"""PASCAL VOC average precision, as the development kit measures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from numpy.typing import NDArray

from benchmark.metrics.arrays import to_array
from pretrain.errors import DensebenchError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
STYLES = ("11points", "area")


@dataclass(frozen=True)
class Image:
    """What one evaluated image contributes; boxes are x0, y0, x1, y1 with the last pixel included."""

    boxes: Floats  # (N, 4)
    scores: Floats  # (N,)
    labels: Ints  # (N,)
    true_boxes: Floats  # (M, 4)
    true_labels: Ints  # (M,)
    difficult: NDArray[np.bool_]  # (M,)


@METRICS.register_module()
class VocAP(BaseMetric):
    """AP (mean over IoU 0.5:0.05:0.95), AP50 and AP75 in percent, mean over the classes that occur.

    Ground truth comes from the data samples: `gt_instances`, and `ignored_instances` for objects marked
    difficult, which count neither as found nor as missed.

    Args:
        style: "11points" interpolates at eleven recalls, VOC2007's way, which detectron2's evaluator uses for
            2007 sets and which the papers therefore print; "area" is VOC2010's area under the curve.
        iou_thrs: The thresholds that AP averages; 0.5 and 0.75 must be among them.
        classes: Class names; None takes them from the data set's metainfo.
        collect_device: "cpu" or "gpu", as mmengine has it.

    Raises:
        DensebenchError: No evaluated image holds an object that is not difficult.
    """

    default_prefix = ""

    def __init__(
        self,
        style: str = "11points",
        iou_thrs: Sequence[float] = THRESHOLDS,
        classes: Sequence[str] | None = None,
        collect_device: str = "cpu",
    ) -> None:
        super().__init__(collect_device=collect_device)
        if style not in STYLES:
            raise ValueError(f"style is one of {STYLES}, not {style!r}")
        self.style = style
        self.thresholds = [round(float(threshold), 6) for threshold in iou_thrs]
        if not {0.5, 0.75} <= set(self.thresholds):
            raise ValueError(f"AP50 and AP75 need the thresholds 0.5 and 0.75, found {self.thresholds}")
        self.classes = classes

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep each image's detections and ground truth."""
        for sample in data_samples:
            truths = [_instances(sample, "gt_instances"), _instances(sample, "ignored_instances")]
            boxes, labels = _instances(sample, "pred_instances")
            image = Image(
                boxes=boxes,
                scores=to_array(sample["pred_instances"]["scores"]).astype(np.float64),
                labels=labels,
                true_boxes=np.concatenate([boxes for boxes, _ in truths]),
                true_labels=np.concatenate([labels for _, labels in truths]),
                difficult=np.repeat([False, True], [len(labels) for _, labels in truths]),
            )
            self.results.append((str(sample["img_id"]), image))

    def compute_metrics(self, results: list[tuple[str, Image]]) -> dict[str, float]:
        """Evaluate the collected images, in the order of their ids."""
        classes = self.classes or (self.dataset_meta or {}).get("classes")
        if classes is None:
            raise ValueError("classes are given neither to the metric nor by the data set's metainfo")
        images = [image for _, image in sorted(results, key=lambda result: result[0])]
        table = mean_average_precision(images, len(classes), self.thresholds, self.style)
        at = dict(zip(self.thresholds, table.tolist(), strict=True))
        return {"AP": 100 * float(table.mean()), "AP50": 100 * at[0.5], "AP75": 100 * at[0.75]}


def _instances(sample: Mapping[str, Any], name: str) -> tuple[Floats, Ints]:
    """Return the boxes (N, 4) and labels (N,) of one group of instances; none where it is missing."""
    group = sample.get(name) or {"bboxes": np.zeros((0, 4)), "labels": np.zeros(0)}
    boxes = to_array(group["bboxes"]).astype(np.float64).reshape(-1, 4)
    return boxes, to_array(group["labels"]).astype(np.int64).reshape(-1)


def mean_average_precision(
    images: Sequence[Image], classes: int, thresholds: Sequence[float], style: str = "11points"
) -> Floats:
    """Average the AP over the classes with at least one object that is not difficult.

    Returns:
        One value in 0..1 for each IoU threshold, (T,).

    Raises:
        DensebenchError: No class has an object to find.
    """
    rows = [average_precision(images, label, thresholds, style) for label in range(classes)]
    present = [row for row in rows if row is not None]
    if not present:
        raise DensebenchError(
            f"None of the {len(images)} evaluated images has an object to find.",
            "Evaluate on more images, or check the names of the classes.",
        )
    mean: Floats = np.mean(present, axis=0)
    return mean


def average_precision(
    images: Sequence[Image], label: int, thresholds: Sequence[float], style: str = "11points"
) -> Floats | None:
    """Measure one class: AP in 0..1 for each IoU threshold, (T,); None when it has no object to find.

    Every detection, highest score first, goes to the object of its class that it overlaps most. It is right
    when they overlap by more than the threshold and no detection before it took that object; it is ignored
    when that object is difficult.
    """
    scores, overlap, objects, ignored = _assign(images, label)
    total = sum(int(np.sum((image.true_labels == label) & ~image.difficult)) for image in images)
    if total == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    overlap, objects, ignored = overlap[order], objects[order], ignored[order]
    precisions = []
    for threshold in thresholds:
        # NOTE: strictly more, as detectron2's evaluator has it; the development kit takes equality too.
        hit = overlap > threshold
        counted = ~(hit & ignored)
        candidates = np.flatnonzero(hit & counted)
        first = candidates[np.unique(objects[candidates], return_index=True)[1]]
        right = np.zeros(len(hit), bool)
        right[first] = True
        found = np.cumsum(right[counted])  # (K,) after each detection that counts
        interpolate = eleven_points if style == "11points" else area_under_curve
        precisions.append(interpolate(found, total))
    return np.array(precisions)


def _assign(images: Sequence[Image], label: int) -> tuple[Floats, Floats, Ints, NDArray[np.bool_]]:
    """Give each detection of a class its best object: score, IoU, object's number, difficult or not; (K,)."""
    parts: list[tuple[Floats, Floats, Ints, NDArray[np.bool_]]] = []
    offset = 0
    for image in images:
        mine, theirs = image.labels == label, image.true_labels == label
        iou = intersection_over_union(image.boxes[mine], image.true_boxes[theirs])  # (n, m)
        n, m = iou.shape
        best = iou.argmax(axis=1) if m else np.zeros(n, np.int64)
        overlap = iou[np.arange(n), best] if m else np.zeros(n)
        ignored = image.difficult[theirs][best] if m else np.zeros(n, bool)
        parts.append((image.scores[mine], overlap, offset + best, ignored))
        offset += m
    scores, overlaps, objects, difficult = zip(*parts, strict=True)
    return (
        np.concatenate(scores),
        np.concatenate(overlaps),
        np.concatenate(objects),
        np.concatenate(difficult),
    )


def intersection_over_union(boxes: Floats, others: Floats) -> Floats:
    """Overlap boxes (N, 4) with others (M, 4) in whole pixels: a box from 3 to 5 is three wide. (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low + 1, 0, None).prod(axis=2)
    areas = [(group[:, 2:] - group[:, :2] + 1).prod(axis=1) for group in (boxes, others)]
    iou: Floats = common / (areas[0][:, None] + areas[1][None, :] - common)
    return iou


def eleven_points(found: Ints, total: int) -> float:
    """Average the best precision at recall 0, 0.1, ..., 1 or more (VOC2007).

    Args:
        found: Right detections among the first k + 1, (K,).
        total: Objects to find.
    """
    precision, recall = found / np.arange(1, len(found) + 1), found / total
    # NOTE: the recalls are the floats of arange, as in the released evaluators (voc_eval.py, detectron2): 0.6
    # is 0.6000000000000001 there, and a recall of exactly 9 / 15 stays below it.
    best = [precision[recall >= point].max(initial=0.0) for point in np.arange(0.0, 1.1, 0.1)]
    return float(np.mean(best))


def area_under_curve(found: Ints, total: int) -> float:
    """Integrate the precision, made monotonous from the right, over recall (VOC2010 and later).

    Args:
        found: Right detections among the first k + 1, (K,).
        total: Objects to find.
    """
    precision = found / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(found, prepend=0)
    return float(np.sum(envelope * steps) / total)
