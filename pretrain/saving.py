"""Tensors written whole or not at all, also when the system refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pretrain.files import replacing


def write_torch(path: Path, tree: object) -> None:
    """Write tensors and plain data with `torch.save`, whole or not at all; see `replacing`."""
    with replacing(path) as temporary, _refusals(), temporary.open("wb") as file:
        torch.save(tree, file)


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors that are contiguous and share no storage, and texts about them, whole or not at all."""
    with replacing(path) as temporary, _refusals():
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's umask has it; safetensors would close it to others
        save_file(tensors, temporary, metadata)
        temporary.chmod(mode)


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise as an OSError what torch and safetensors make of a refusal by the system, such as a full disk."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        raise error.__context__ if isinstance(error.__context__, OSError) else OSError(str(error)) from error
