"""The seam between the two halves: a file of backbone tensors and what must be known about them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrain import tensor_file
from pretrain.contents import Contents
from pretrain.errors import DensebenchError
from pretrain.stored import is_tensor

if TYPE_CHECKING:
    from torch import Tensor

KEY = "densebench"  # the name under which a file carries our Meta, as JSON
SEAL = "densebench_sha256"  # and the sha256 of that text, since safetensors files have no checksums


@dataclass(frozen=True)
class Meta:
    """What a backbone's tensors do not say themselves.

    `mean` and `std` are in units of 0..255, in `channel_order`; `images` is the number of training images that could be
    read; `precision`, `processes` and `device` say how it was computed. `save` fills `sha256`, the tensors' digest.
    """

    arch: str
    method: str
    recipe: str
    data: str
    epochs: float
    seed: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    images: int | None = None
    channel_order: str = "RGB"
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    precision: str = ""
    processes: int | None = None
    device: str = ""
    wall_time_s: float = 0.0
    sha256: str = ""
    schema: int = 1

    def to_json(self) -> str:
        """Return the fields as one JSON object."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Meta:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is not JSON, or not this schema.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.get("schema") != 1:
            raise ValueError("an object of schema 1 was expected")
        try:
            values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"its fields are not those of schema 1 ({error})") from error


@dataclass(frozen=True)
class Checkpoint:
    """A backbone's tensors under their own names, and their Meta."""

    tensors: dict[str, Tensor]
    meta: Meta


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over the tensors' names, types, shapes and bytes, in the order of the names."""
    import torch

    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha256.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha256.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def save(path: Path, tensors: Mapping[str, Tensor], meta: Meta) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: `.safetensors`, or `.pth` for a torch file with the keys `state_dict` and `meta`.
        tensors: Names to tensors; stored contiguous and on the CPU.
        meta: Stored with the tensors, its `sha256` filled.

    Raises:
        DensebenchError: Another suffix, or the file cannot be written; an older file is left as it was.
    """
    stored = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    write_tensors(path, stored, header(dataclasses.replace(meta, sha256=digest(stored))))


def header(meta: Meta) -> dict[str, str]:
    """Return the entries of a file's metadata that carry a Meta."""
    text = meta.to_json()
    return {KEY: text, SEAL: hashlib.sha256(text.encode()).hexdigest()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts about them to a `.safetensors` or `.pth` file, whole or not at all.

    Raises:
        DensebenchError: Another suffix, or the file cannot be written; an older file is left as it was.
    """
    from pretrain import saving

    if path.suffix not in (".safetensors", ".pth"):
        raise DensebenchError(f"{path} must end in .safetensors or .pth, not in '{path.suffix}'.")
    stored = _apart(tensors)
    if path.suffix == ".pth":
        saving.write_torch(path, {"state_dict": stored, "meta": dict(metadata)})
    else:
        saving.write_safetensors(path, stored, {"format": "pt", **metadata})


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that are contiguous and share no storage; only those that are not so are copied."""
    import torch

    found: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        alone = storage.nbytes() == tensor.numel() * tensor.element_size() and storage.data_ptr() not in storages
        storages.add(storage.data_ptr())
        whole = alone and tensor.is_contiguous()
        found[name] = tensor if whole else tensor.clone(memory_format=torch.contiguous_format)
    return found


def load(path: Path) -> Checkpoint:
    """Read a checkpoint that `save` wrote.

    Raises:
        DensebenchError: See `read_tensors`; or the file is not one of ours.
    """
    tree, metadata = read_tensors(path)
    meta = meta_of(path, metadata)
    if meta is None:
        raise DensebenchError(
            f"{path} is not a checkpoint that densebench wrote.",
            "Other formats are read by `densebench convert` and `densebench run`.",
        )
    return Checkpoint(_named_tensors(path, tree), meta)


def meta_of(path: Path, metadata: Mapping[str, Any]) -> Meta | None:
    """Return our Meta where a file's metadata has one, None where the file is not ours.

    Raises:
        DensebenchError: The Meta is there but cannot be read.
    """
    if KEY not in metadata:
        return None
    try:
        if hashlib.sha256(metadata[KEY].encode()).hexdigest() != metadata.get(SEAL):
            raise ValueError("its text does not have its sha256")
        return Meta.from_json(metadata[KEY])
    except (AttributeError, ValueError) as error:
        raise DensebenchError(f"{path} has a densebench header that cannot be read: {error}.") from error


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read any file of tensors without running code, and hold our own files to the digest they state.

    Returns:
        The file's tree as it is (names to tensors, plain values and further trees), and its metadata.

    Raises:
        DensebenchError: See `tensor_file.read`; or our own file's tensors do not have their digest.
    """
    contents = tensor_file.read(path)
    return tensors_of(path, contents), contents.metadata


def tensors_of(path: Path, contents: Contents) -> dict[str, Any]:
    """Return a file's tree with its tensors mapped, all checksums and our own digest verified.

    Raises:
        DensebenchError: One does not hold.
    """
    tree = contents.tensors()
    meta = meta_of(path, contents.metadata)
    if meta is not None and digest(_named_tensors(path, tree)) != meta.sha256:
        raise DensebenchError(f"{path} is damaged: its tensors do not have the sha256 that it states.", "Copy it anew.")
    return tree


def _named_tensors(path: Path, tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of our own file: the tree itself in safetensors, `state_dict` in a torch file."""
    tensors = tree.get("state_dict", tree)
    if not isinstance(tensors, dict) or not all(map(is_tensor, tensors.values())):
        raise DensebenchError(f"{path} has a densebench header, but not the named tensors that belong to it.")
    return tensors
