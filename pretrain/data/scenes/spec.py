"""What the scenes are made of: the classes, the pools of scenes, and what a data root was generated from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pretrain.errors import UsageError

GENERATOR_VERSION = 2
"""Raised whenever the same parameters would give other bytes."""

CLASSES = ("boulder", "crate", "drum", "log", "cone", "tyre", "urn", "bale", "shrub", "tent")
"""The labelled objects: each is a shape with a material of its own; neither alone gives the class away."""

STUFF = ("ground", "backdrop")
"""The two regions that every other pixel belongs to; `backdrop` is wall, hedge, hills and sky."""

COCO_IDS = (1, 2, 4, 7, 8, 11, 13, 17, 22, 25)
"""Category ids in the COCO files: they have gaps, as COCO's own do."""

VOID = 255
"""The label of pixels that no score looks at."""

POOLS = ("train", "val", "reserve")
"""Disjoint pools of scenes: `train` for all training splits, `val` for the test splits, and `reserve` for
VOC2012's val, which VOC detection trains on (as part of VOC2012's trainval) and VOC segmentation tests on."""

MAX_DEPTH = 10.0
"""Metres; what lies further away has no valid depth."""

MIN_SIZE, MAX_SIZE = 48, 1024


@dataclass(frozen=True)
class Parameters:
    """All that decides the bytes of a data root.

    Args:
        train: Number of training scenes.
        val: Number of held-out scenes in each of the pools `val` and `reserve`.
        seed: Seed of everything random.
        size: Side of the square images in pixels.

    Raises:
        UsageError: If a number is outside its range.
    """

    train: int
    val: int
    seed: int = 0
    size: int = 160

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("train", self.train, 8, 10**6),
            ("val", self.val, 1, 10**6),
            ("seed", self.seed, 0, 2**63 - 1),
            ("size", self.size, MIN_SIZE, MAX_SIZE),
        ):
            if not low <= value <= high:
                raise UsageError(f"Scenes cannot be made with {name}={value}: {low} to {high} was expected.")

    def count(self, pool: str) -> int:
        """How many scenes a pool has."""
        return self.train if pool == "train" else self.val

    def to_dict(self) -> dict[str, Any]:
        """The parameters with the generator's version, as `densebench.json` holds them."""
        return {"version": GENERATOR_VERSION, **asdict(self)}
