"""The scenes as NYU depth, in MMSegmentation's layout: nyu/images and nyu/annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pretrain.data.scenes.files import link, png
from pretrain.data.scenes.labels import depth_map
from pretrain.data.scenes.noise import bank
from pretrain.data.scenes.render import Scene
from pretrain.data.scenes.spec import GENERATOR_VERSION, POOLS

SPLITS = {"train": "train", "val": "test"}


def folders() -> list[str]:
    """The folders that the layout needs."""
    return [f"nyu/{kind}/{split}" for kind in ("images", "annotations") for split in SPLITS.values()]


def write_scene(root: Path, seed: int, pool: str, index: int, scene: Scene, photo: Path) -> None:
    """Write image and depth (16 bits, millimetres, 0 = invalid)."""
    rng = np.random.default_rng([GENERATOR_VERSION, seed, POOLS.index(pool), index, 0xDE])
    name, split = f"scene_{index:06d}", SPLITS[pool]
    link(photo, root / "nyu" / "images" / split / f"{name}.jpg")
    depth = png(depth_map(rng, bank(seed), scene.depth))
    (root / "nyu" / "annotations" / split / f"{name}.png").write_bytes(depth)
