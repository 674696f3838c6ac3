"""Writing files in every container, and reading them by the containers' own libraries."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from pretrain import checkpoint

from .formats import File, Place, Tree


def write(made: File, folder: Path, random: Random) -> Path:
    """Write the file into the folder and return its path."""
    path = folder / "weights.bin"
    if made.container == "folder":
        (folder / "config.json").write_text('{"architecture": "resnet"}', encoding="utf-8")
        path = folder / "model.safetensors"
    if made.container in ("safetensors", "folder"):
        save_file({name: one.clone().contiguous() for name, one in made.tree.items()}, path, {"format": "pt"})
    elif made.container == "ours":
        meta = checkpoint.Meta(made.arch, "densecl", "scenes", "x", 3.0, 5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
        path = path.with_suffix(random.choice((".pth", ".safetensors")))
        checkpoint.save(path, made.tree, meta)
        if path.suffix == ".pth":
            made.places = [
                Place(place.arch, {name: ("state_dict", *way) for name, way in place.ways.items()})
                for place in made.places
            ]
    elif made.container == "pickle":
        path.write_bytes(pickle.dumps(made.tree, protocol=random.choice((2, 4, 5))))
    else:
        torch.save(made.tree, path, _use_new_zipfile_serialization=made.container == "zip")
    return path


class _ArraysOnly(pickle.Unpickler):
    """numpy's own way, for files that this script wrote."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up numpy's names only."""
        if module.startswith("numpy") or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(name)


def read_otherwise(path: Path) -> Tree | None:
    """Read the file by other readers than densebench's; None where they refuse."""
    data = path.read_bytes()
    try:
        if data[8:9] == b"{":
            return dict(load_file(path))
        if data[:2] == b"\x80\x02" or data[:2] == b"PK":
            try:
                return dict(torch.load(path, weights_only=True, mmap=data[:2] == b"PK"))
            except Exception:
                if data[:2] == b"PK":
                    return None
        return dict(_ArraysOnly(io.BytesIO(data)).load())
    except Exception:
        return None
