"""What a fine-tuned model says about a few test images, beside what is true."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmark.quiet import quiet
from pretrain.errors import DensebenchError

Array = NDArray[Any]


@dataclass(frozen=True)
class Objects:
    """Detected or annotated objects of one image.

    Attributes:
        boxes: (N, 4), x0, y0, x1, y1 in pixels.
        labels: (N,), class indices.
        scores: (N,), or None for the truth.
        masks: (N, H, W) bool, or None where there are none.
    """

    boxes: Array
    labels: Array
    scores: Array | None = None
    masks: Array | None = None


@dataclass(frozen=True)
class Prediction:
    """One test image with truth and prediction: a label map, a depth map (0: unknown), or objects.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) int labels, (H, W) float metres, or objects.
        prediction: Likewise.
        classes: The classes' names; none for depth.
    """

    image: Array
    truth: Array | Objects
    prediction: Array | Objects
    classes: tuple[str, ...]


def predict(folder: Path, count: int) -> list[Prediction]:
    """Let the model of a finished run predict images spread over its test set.

    Args:
        folder: The run's work folder, with the config that mmengine left there and `model.pth`.
        count: How many images.

    Raises:
        DensebenchError: The run did not keep its model.
    """
    configs, weights = sorted(folder.glob("*.py")), folder / "model.pth"
    if not configs or not weights.is_file():
        raise DensebenchError(f"{folder} holds no model.", "Run the task again with --force --keep-model.")
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        from mmengine.config import Config
        from mmengine.dataset import pseudo_collate
        from mmengine.registry import DATASETS, MODELS, init_default_scope

        import benchmark.finetune  # noqa: F401 (registers our modules)

        config = Config.fromfile(configs[-1])
        init_default_scope(config.default_scope)
        dataset = DATASETS.build(config.test_dataloader.dataset)
        model = MODELS.build(config.model)
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        model.eval()
        chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset)), dtype=int)
        with torch.no_grad():
            return [_one(model, dataset, int(index), pseudo_collate) for index in chosen]


def _one(model: Any, dataset: Any, index: int, collate: Callable[[list[Any]], Any]) -> Prediction:
    batch = collate([dataset[index]])
    (sample,) = model.test_step(batch)
    kind = "depth_map" if "pred_depth_map" in sample else "sem_seg"
    # NOTE: mmseg's NYU data set calls its kinds of rooms classes; a depth map has none.
    classes = () if kind == "depth_map" else tuple(dataset.metainfo["classes"])
    whole = np.asarray(Image.open(sample.img_path).convert("RGB"))
    if "pred_instances" in sample:
        truth = _objects(sample.gt_instances, _masks(dataset.get_data_info(index)["instances"], whole.shape[:2]))
        return Prediction(whole, truth, _objects(sample.pred_instances), classes)
    true, predicted = (_numpy(sample.get(f"{part}_{kind}").data)[0] for part in ("gt", "pred"))
    entered = _numpy(batch["inputs"][0]).transpose(1, 2, 0)[:, :, ::-1]  # the pipelines load BGR
    image = whole if whole.shape[:2] == true.shape else entered[: true.shape[0], : true.shape[1]]
    return Prediction(image, true, predicted, classes)


def _objects(instances: Any, masks: Array | None = None) -> Objects:
    return Objects(
        _numpy(getattr(instances.bboxes, "tensor", instances.bboxes)),
        _numpy(instances.labels),
        _numpy(instances.scores) if "scores" in instances else None,
        _numpy(instances.masks) if "masks" in instances else masks,
    )


def _masks(instances: list[dict[str, Any]], shape: tuple[int, ...]) -> Array | None:
    """Draw the annotated masks, polygons or run lengths, of the objects that count."""
    from pycocotools import mask as coco

    counted = [entry["mask"] for entry in instances if not entry.get("ignore_flag") and "mask" in entry]
    if not counted:
        return None
    height, width = shape
    masks = []
    for entry in counted:
        packed = isinstance(entry, dict) and not isinstance(entry["counts"], list)
        encoded = entry if packed else coco.frPyObjects(entry, height, width)
        masks.append(coco.decode(coco.merge(encoded) if isinstance(encoded, list) else encoded))
    return np.stack(masks).astype(bool)


def _numpy(value: Any) -> Array:
    return np.asarray(value.cpu())
