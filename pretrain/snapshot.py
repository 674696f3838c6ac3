"""Folders as the Hugging Face hub has them: `config.json`, and the weights in one file or in several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pretrain.contents import Contents
from pretrain.errors import DensebenchError
from pretrain.files import read_object

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CHECKPOINT = "checkpoint.safetensors"  # what pretraining leaves in its folder


def read_folder(folder: Path, read: Callable[[Path], Contents]) -> Contents:
    """Read the weights of a folder, in one file or in those that an index names.

    Args:
        folder: Its `config.json`, where there is one, becomes `config` of the metadata.
        read: Reads one file.

    Raises:
        DensebenchError: There are no weights, or the index and its files contradict each other.
    """
    whole = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    index = next((folder / f"{name}.index.json" for name in WEIGHTS if (folder / f"{name}.index.json").is_file()), None)
    config = {"config": read_object(folder / "config.json")} if (folder / "config.json").is_file() else {}
    if whole is not None:
        found = read(whole)
        return replace(found, container=f"folder of {found.container}", metadata={**found.metadata, **config})
    if index is None:
        ours = folder / CHECKPOINT
        raise DensebenchError(
            f"{folder} is a folder without {' or '.join(WEIGHTS)}; a checkpoint file was expected.",
            f"Name the file itself{f': {ours}' if ours.is_file() else ''}.",
        )
    return _sharded(folder, index, read, config)


def _sharded(folder: Path, index: Path, read: Callable[[Path], Contents], config: dict[str, Any]) -> Contents:
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()) or not places:
        raise DensebenchError(f"{index} is no index of weights: 'weight_map' should name a file for every tensor.")
    shards = sorted(set(places.values()))
    astray = next((name for name in shards if Path(name).name != name), None)
    if astray is not None:
        raise DensebenchError(f"{index} names a file outside of its folder: {astray!r}.")
    missing = next((name for name in shards if not (folder / name).is_file()), None)
    if missing is not None:
        raise DensebenchError(f"{folder} lacks {missing}, which {index.name} names.", "Download it, too.")
    parts = {name: read(folder / name) for name in shards}
    named = {(tensor, name) for name, part in parts.items() for tensor in part.tree}
    if named != set(places.items()):
        tensor, name = min(named ^ set(places.items()))
        raise DensebenchError(f"{index} and {name} contradict each other about the tensor {tensor!r}.")
    first = parts[shards[0]]
    return Contents(
        f"folder of {len(shards)} {first.container} files",
        {tensor: value for part in parts.values() for tensor, value in part.tree.items()},
        {**first.metadata, **config},
        tuple(folder / name for name in shards),
        tuple(sorted({name for part in parts.values() for name in part.inert})),
        tuple(check for part in parts.values() for check in part.checks),
    )
