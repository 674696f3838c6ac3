"""Errors of monocular depth estimation, in the convention of Eigen et al. (2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor

from benchmark.metrics.arrays import require_same_size, to_map
from pretrain.errors import DensebenchError

KEYS = ("delta1", "delta2", "delta3", "rms", "rel")


@METRICS.register_module()
class DepthErrors(BaseMetric):
    """delta1..3 in percent, rms in metres and rel as a ratio: each image's value, averaged over the images.

    An image without a valid pixel has no value and does not count.

    Args:
        min_depth: Nearest depth that counts, in metres; a label of 0 is always invalid.
        max_depth: Farthest depth that counts, in metres. Predictions are clipped to the two.
        collect_device: "cpu" or "gpu", as mmengine has it.

    Raises:
        DensebenchError: A prediction is NaN, a map's size differs from its label's, or no pixel is valid.
    """

    default_prefix = ""

    def __init__(self, min_depth: float = 1e-3, max_depth: float = 10.0, collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        self.min_depth = min_depth
        self.max_depth = max_depth

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep each image's five numbers; None for an image without a valid pixel."""
        for sample in data_samples:
            image = str(sample.get("depth_map_path") or sample.get("img_path") or "an image")
            predicted = to_map(sample["pred_depth_map"]["data"])
            truth = to_map(sample["gt_depth_map"]["data"])
            require_same_size(predicted, truth, image)
            if predicted.isnan().any():
                raise DensebenchError(
                    f"{image}: the predicted depth has NaN.",
                    "The training diverged: lower the learning rate.",
                )
            self.results.append(depth_errors(predicted, truth, self.min_depth, self.max_depth))

    def compute_metrics(self, results: list[dict[str, float] | None]) -> dict[str, float]:
        """Average over the images."""
        measured = [errors for errors in results if errors is not None]
        if not measured:
            raise DensebenchError(
                f"None of the {len(results)} evaluated images has a depth from {self.min_depth} to "
                f"{self.max_depth} metres.",
                "Check the unit of the depth maps.",
            )
        return {key: sum(errors[key] for errors in measured) / len(measured) for key in KEYS}


def depth_errors(predicted: Tensor, truth: Tensor, min_depth: float, max_depth: float) -> dict[str, float] | None:
    """Measure one image; None when it has no valid pixel.

    Args:
        predicted: Depth in metres, (H, W).
        truth: Depth in metres, (H, W); 0 where it is unknown.
        min_depth: Nearest depth that counts.
        max_depth: Farthest depth that counts.

    Returns:
        delta1, delta2, delta3: percent of the pixels with max(p / t, t / p) below 1.25, 1.25^2, 1.25^3.
        rms: root of the mean squared difference, in metres. rel: mean of |p - t| / t.
    """
    valid = (truth > 0) & (truth >= min_depth) & (truth <= max_depth)
    if not valid.any():
        return None
    t = truth[valid].double()  # (N,)
    p = predicted[valid].double().clamp(min_depth, max_depth)
    ratio = torch.maximum(p / t, t / p)
    errors = {f"delta{k}": 100 * float((ratio < 1.25**k).double().mean()) for k in (1, 2, 3)}
    errors["rms"] = float((p - t).square().mean().sqrt())
    errors["rel"] = float(((p - t).abs() / t).mean())
    return errors
