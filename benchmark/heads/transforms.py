"""Image and label transforms that mmdet and mmseg lack."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from mmseg.datasets.transforms import LoadAnnotations, LoadDepthAnnotation
from PIL import Image

from pretrain.errors import DensebenchError, one_line
from pretrain.unreadable import UNREADABLE


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image as BGR uint8 (H, W, 3); a damaged file is an error that names it.

    # NOTE: mmcv's reader takes a truncated JPEG for a grey one.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img`, `img_shape` and `ori_shape`."""
        path = Path(results["img_path"])
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                pixels = np.asarray(image.convert("RGB"))
        except UNREADABLE as error:
            raise DensebenchError(
                f"{path} is not a readable image: {one_line(error)}.",
                "Restore it, or leave such images out with --skip-unreadable.",
            ) from error
        results["img"] = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        results["img_shape"] = results["ori_shape"] = pixels.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabels(LoadAnnotations):
    """Read a segmentation label, and check that its values are classes or 255 (ignored); a damaged file is named.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `gt_seg_map`."""
        with _naming(results["seg_map_path"]):
            results = super().transform(results)
        label = results["gt_seg_map"]
        outside = label[(label >= self.classes) & (label != 255)]
        if outside.size:
            raise DensebenchError(
                f"{results['seg_map_path']} has the label {int(outside[0])}, but the classes are "
                f"0..{self.classes - 1} (255 is ignored).",
                "Correct the label, or name the class in the data specification.",
            )
        return results


@TRANSFORMS.register_module()
class LoadDepth(LoadDepthAnnotation):
    """Read a depth label, a 16-bit PNG in millimetres, into metres; a damaged file is an error that names it."""

    def __init__(self) -> None:
        super().__init__(depth_rescale_factor=1e-3)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `gt_depth_map`."""
        with _naming(results["depth_map_path"]):
            read: dict[str, Any] = super().transform(results)
        return read


@TRANSFORMS.register_module()
class KeepDifficult(BaseTransform):
    """Train VOC's difficult objects like all others, as detectron2 does.

    # NOTE: mmdet would ignore their boxes, which without an overlap to ignore by makes them background.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Clear `gt_ignore_flags`."""
        results["gt_ignore_flags"] = np.zeros_like(results["gt_ignore_flags"])
        return results


@TRANSFORMS.register_module()
class CentreCrop(BaseTransform):
    """Cut image and labels to their centre, which counts as the original image from there on.

    Args:
        size: (height, width) in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop `img` and every label map."""
        height, width = results["img"].shape[:2]
        rows, columns = (min(wanted, has) for wanted, has in zip(self.size, (height, width), strict=True))
        top, left = (height - rows) // 2, (width - columns) // 2
        for key in ("img", *results.get("seg_fields", [])):
            results[key] = np.ascontiguousarray(results[key][top : top + rows, left : left + columns])
        results["img_shape"] = results["ori_shape"] = (rows, columns)
        return results


@TRANSFORMS.register_module()
class PhotoDistortion(BaseTransform):
    """Change grey, brightness, saturation and hue (BYOL, appendix D.6).

    Args:
        grayscale: The probability of a grey image.
        brightness: The largest change, in units of the full range.
        saturation: The range of the factor.
        hue: The largest shift, in turns of the colour circle.
    """

    def __init__(self, grayscale: float, brightness: float, saturation: tuple[float, float], hue: float) -> None:
        self.grayscale = grayscale
        self.brightness = brightness
        self.saturation = saturation
        self.hue = hue

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img`; all draws come from NumPy's global generator, which is keyed for every sample."""
        draw = np.random.uniform
        image = results["img"].astype(np.float32) + 255.0 * draw(-self.brightness, self.brightness)
        hsv = cv2.cvtColor(np.clip(image, 0, 255) / 255.0, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360.0 * draw(-self.hue, self.hue)) % 360.0
        hsv[..., 1] = np.clip(hsv[..., 1] * draw(*self.saturation), 0, 1)
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        if draw() < self.grayscale:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
        results["img"] = np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)
        return results


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Name the label in what a reader says of a damaged one: OpenCV's gives nothing, or raises its own error."""
    try:
        yield
    except (*UNREADABLE, AttributeError, cv2.error) as error:
        raise DensebenchError(f"{path} is not a readable image of labels.", "Restore it.") from error
