"""The scenes as Cityscapes: leftImg8bit and gtFine, one city a split."""

from __future__ import annotations

from pathlib import Path

from pretrain.data.scenes.files import png
from pretrain.data.scenes.labels import street_classes
from pretrain.data.scenes.render import Scene

CITIES = {"train": "amberton", "val": "bellmoor"}


def folders() -> list[str]:
    """The folders that the layout needs."""
    return [f"cityscapes/{kind}/{split}/{city}" for kind in ("leftImg8bit", "gtFine") for split, city in CITIES.items()]


def write_scene(root: Path, pool: str, index: int, scene: Scene) -> None:
    """Write image and train ids."""
    city = CITIES[pool]
    name = f"{city}_{index:06d}_000019"
    home = root / "cityscapes"
    (home / "leftImg8bit" / pool / city / f"{name}_leftImg8bit.png").write_bytes(png(scene.image))
    labels = png(street_classes(scene))
    (home / "gtFine" / pool / city / f"{name}_gtFine_labelTrainIds.png").write_bytes(labels)
