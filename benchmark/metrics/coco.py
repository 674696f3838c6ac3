"""COCO average precision of boxes and masks, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from numpy.typing import NDArray
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmark.metrics.arrays import to_array
from pretrain.errors import DensebenchError

KINDS = ("bbox", "segm")


@METRICS.register_module()
class CocoAP(BaseMetric):
    """AP, AP50 and AP75 in percent, of boxes ("bbox_AP", ...) and of masks ("segm_AP", ...).

    Only the images that were evaluated count, also those without a detection.

    Args:
        ann_file: The COCO annotation file of the evaluated split.
        metric: Which of "bbox" and "segm" to measure.
        classes: The class of each label; a label finds its category by this name, whatever the ids are.
            None takes the names from the data set's metainfo.
        collect_device: "cpu" or "gpu", as mmengine has it.

    Raises:
        DensebenchError: The file is no COCO annotation file, a class is not in it, an image is not in it, or
            no evaluated image holds an object of these classes.
    """

    default_prefix = ""

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = KINDS,
        classes: Sequence[str] | None = None,
        collect_device: str = "cpu",
    ) -> None:
        super().__init__(collect_device=collect_device)
        self.kinds = (metric,) if isinstance(metric, str) else tuple(metric)
        if not set(self.kinds) <= set(KINDS):
            raise ValueError(f"metric is one or both of {KINDS}, not {self.kinds}")
        self.classes = classes
        self.ann_file = ann_file
        self.truth = read_truth(ann_file)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep each image's boxes (N, 4), scores (N,), labels (N,) and run-length encoded masks (N)."""
        for sample in data_samples:
            predicted = sample["pred_instances"]
            image = {
                "img_id": sample["img_id"],
                "bboxes": to_array(predicted["bboxes"]).astype(np.float64).reshape(-1, 4),
                "scores": to_array(predicted["scores"]).astype(np.float64),
                "labels": to_array(predicted["labels"]).astype(np.int64),
            }
            if "segm" in self.kinds:
                image["masks"] = [encode(mask) for mask in predicted["masks"]]
            self.results.append(image)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Evaluate the collected images."""
        names = self.classes or (self.dataset_meta or {}).get("classes")
        if names is None:
            raise ValueError("classes are given neither to the metric nor by the data set's metainfo")
        categories = category_ids(self.truth, names, self.ann_file)
        images = {image["img_id"]: image for image in results}
        strange = sorted(str(index) for index in images.keys() - self.truth.imgs.keys())
        if strange:
            raise DensebenchError(f"The image {strange[0]} was evaluated and is not in {self.ann_file}.")
        metrics: dict[str, float] = {}
        for kind in self.kinds:
            detections = to_detections(images.values(), categories, kind)
            scores = average_precision(self.truth, detections, sorted(images), categories, kind)
            if min(scores) < 0:
                raise DensebenchError(
                    f"None of the {len(images)} evaluated images of {self.ann_file} has an object to find.",
                    "Evaluate on more images, or check the names of the classes.",
                )
            metrics |= {f"{kind}_{key}": 100 * s for key, s in zip(("AP", "AP50", "AP75"), scores, strict=True)}
        return metrics


def read_truth(ann_file: str) -> COCO:
    """Load a COCO annotation file without pycocotools' printing; an object without `iscrowd` is none."""
    if not Path(ann_file).is_file():
        raise DensebenchError(f"The annotation file {ann_file} does not exist.")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(ann_file)
    except ValueError as error:
        raise DensebenchError(f"{ann_file} is not a COCO annotation file: {error}.") from error
    if not {"images", "annotations", "categories"} <= truth.dataset.keys():
        raise DensebenchError(f"{ann_file} lacks images, annotations or categories: not a COCO instances file.")
    for annotation in truth.dataset["annotations"]:
        annotation.setdefault("iscrowd", 0)  # pycocotools wants it only when it evaluates, after the training
    return truth


def category_ids(truth: COCO, classes: Sequence[str], ann_file: str) -> list[int]:
    """Return the category id of each label, found by the class's name."""
    ids = {category["name"]: int(category["id"]) for category in truth.dataset["categories"]}
    missing = [name for name in classes if name not in ids]
    if missing:
        raise DensebenchError(
            f"The class '{missing[0]}' is not a category of {ann_file}, which has {', '.join(sorted(ids))}."
        )
    return [ids[name] for name in classes]


def encode(mask: Any) -> dict[str, Any]:
    """Run-length encode one mask (H, W) of zeros and ones; one that is encoded already passes."""
    if isinstance(mask, dict):
        return mask
    encoded: dict[str, Any] = mask_api.encode(np.asfortranarray(to_array(mask).astype(np.uint8)))
    return encoded


def to_detections(images: Any, categories: Sequence[int], kind: str) -> list[dict[str, Any]]:
    """List the detections of all images in COCO's result format (boxes as x, y, width, height).

    A detection of masks carries no box, so that its size class follows from the mask's area.
    """
    detections = []
    for image in images:
        corners: NDArray[np.float64] = image["bboxes"]
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)  # (N, 4)
        for i, (label, score) in enumerate(zip(image["labels"], image["scores"], strict=True)):
            shape = {"bbox": boxes[i].tolist()} if kind == "bbox" else {"segmentation": dict(image["masks"][i])}
            detections.append(
                {
                    "image_id": image["img_id"],
                    "category_id": categories[int(label)],
                    "score": float(score),
                    **shape,
                }
            )
    return detections


def average_precision(
    truth: COCO, detections: list[dict[str, Any]], images: Sequence[int], categories: Sequence[int], kind: str
) -> tuple[float, float, float]:
    """Return AP over IoU 0.5:0.95, at 0.5 and at 0.75, in 0..1; -1 where there is nothing to find.

    Args:
        truth: The annotations.
        detections: COCO's result format.
        images: Ids of the images that were evaluated.
        categories: Ids of the categories that were evaluated.
        kind: "bbox" or "segm".
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(detections) if detections else _nothing(truth), kind)
        evaluation.params.imgIds = list(images)
        evaluation.params.catIds = list(categories)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    everything, half, three_quarters = (float(value) for value in evaluation.stats[:3])
    return everything, half, three_quarters


def _nothing(truth: COCO) -> COCO:
    """Build a result without detections, which pycocotools' loadRes cannot read."""
    nothing = COCO()
    nothing.dataset = {**truth.dataset, "annotations": []}
    nothing.createIndex()
    return nothing
