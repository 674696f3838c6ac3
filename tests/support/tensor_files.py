"""Files of tensors in every container, and what a refusal says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pretrain.checkpoint import read_tensors
from pretrain.errors import DensebenchError

KINDS = ["safetensors", "zip", "legacy"]
TENSORS = {
    "weight": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
    "half": torch.arange(5).to(torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}


def written(folder: Path, kind: str, tensors: dict[str, Any] | None = None) -> Path:
    tensors = TENSORS if tensors is None else tensors
    path = folder / "weights.bin"
    if kind == "safetensors":
        save_file(tensors, path)
    elif kind == "npz":
        np.savez(path, **{name: one.numpy() for name, one in tensors.items() if one.dtype != torch.bfloat16})
        path.with_suffix(".bin.npz").rename(path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "zip")
    return path


def refused(path: Path, because: str) -> None:
    with pytest.raises(DensebenchError, match=because) as caught:
        read_tensors(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
