"""Settings: all that is asked of a pretraining run, kept beside its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.errors import UsageError
from pretrain.files import replacing
from pretrain.recipe import Recipe


@dataclass(frozen=True)
class Settings:
    """All that is asked of a pretraining run; what it was computed with, the checkpoint's `Meta` says.

    Attributes:
        method: The method's name.
        arch: The backbone's architecture.
        recipe_name: The recipe's name.
        recipe: The recipe after `--set`.
        data: The data set's name.
        images: Number of images.
        seed: The seed of weights, order and augmentation.
        overrides: What was typed after `--set`.
        regions: Kind and options of the regions; empty for a method that reads none.
    """

    method: str
    arch: str
    recipe_name: str
    recipe: Recipe
    data: str
    images: int
    seed: int
    overrides: Mapping[str, str] = field(default_factory=dict)
    regions: str = ""

    @property
    def variant(self) -> str:
        """The recipe's name with what was changed in it: "coco-800e+matching=random"."""
        return "".join([self.recipe_name, *(f"+{key}={value}" for key, value in sorted(self.overrides.items()))])

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return self.recipe.steps(self.images)

    @property
    def epochs(self) -> float:
        """Passes over the images."""
        return self.steps * self.recipe.batch_size / self.images if self.images else 0.0

    def claim(self, folder: Path, *, begun: bool = True) -> None:
        """Write the settings into `folder`, where no other run's may stand.

        Args:
            folder: The run's folder.
            begun: The run whose settings stand there left a state or a checkpoint; else they are overwritten.

        Raises:
            UsageError: Another run's settings stand there.
        """
        file = folder / "settings.json"
        mine = json.loads(json.dumps(dataclasses.asdict(self)))
        if not file.is_file():
            _write(file, mine)
            return
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            later = {item.name: item.default for item in dataclasses.fields(Recipe)}  # that a newer version brought
            stored["recipe"] = later | stored["recipe"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{file} does not hold a pretraining's settings.", "Choose another --out, or remove that folder."
            ) from error
        if not begun:
            _write(file, mine)
            return
        found = _flat({"regions": "", **stored})
        for name, value in _flat(mine).items():
            if name != "recipe.source" and found.get(name) != value:  # where numbers were read changes none
                there = found.get(name)
                raise UsageError(
                    f"{folder} holds another pretraining: {name} is {there!r} there and {value!r} here.",
                    "Choose another --out, or remove that folder.",
                )


def _write(file: Path, tree: dict[str, Any]) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
