"""Tensors, boxes and arrays of a data sample as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pretrain.errors import DensebenchError


def to_array(value: Any) -> NDArray[Any]:
    """Return a tensor, mmdet's boxes (which hold a tensor) or an array as an array on the CPU."""
    value = getattr(value, "tensor", value)
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def to_map(value: Any) -> torch.Tensor:
    """Return a pixel map, (H, W) or (1, H, W), as a tensor (H, W) on the CPU."""
    tensor: torch.Tensor = torch.as_tensor(value).detach().cpu()
    return tensor.reshape(tensor.shape[-2:])


def require_same_size(predicted: torch.Tensor, truth: torch.Tensor, image: str) -> None:
    """Refuse a prediction that is not at its label's own resolution.

    Raises:
        DensebenchError: The two maps differ in shape.
    """
    if predicted.shape != truth.shape:
        raise DensebenchError(
            f"{image}: the prediction is {tuple(predicted.shape)} and its label {tuple(truth.shape)}.",
            "Load labels after the resize of the test pipeline, so that they keep their own resolution.",
        )
