"""Where a data set's classes, splits and labels are: the official layout, or what `densebench.json` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.section import OFFICIAL, Section, check
from pretrain.errors import DensebenchError
from pretrain.files import read_object

OFFICIAL_NAME = "official"
FOLDERS = {
    "voc_det": "VOCdevkit",
    "coco_det": "coco",
    "voc_seg": "VOCdevkit",
    "cityscapes_seg": "cityscapes",
    "nyu_depth": "nyu",
}
"""The folder of a data root in which each data set lies."""


@dataclass(frozen=True)
class DataSpec:
    """A data root and how its data sets differ from the official ones.

    Attributes:
        root: The folder that holds `VOCdevkit/ coco/ cityscapes/ nyu/`, resolved.
        name: The data's name in records ("official" without a specification).
        sections: One section a data set, as in `OFFICIAL`.
        generator: How embedded data was made, where it was.
    """

    root: Path
    name: str
    sections: dict[str, Section]
    generator: dict[str, Any] = field(default_factory=dict)

    def section(self, data: str) -> Section:
        """Return the section of the data set `data`, its gaps filled with the official values."""
        return {**OFFICIAL[data], **self.sections.get(data, {})}


def read(root: Path, specification: Path | None = None) -> DataSpec:
    """Read the specification of the data under `root`.

    Args:
        root: The data root.
        specification: A JSON file; by default `root/densebench.json` where it exists.

    Raises:
        DensebenchError: The root does not exist, or the specification is not one (docs/data.md describes it).
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DensebenchError(
            f"The data root {root} {what}.",
            "Name the folder that holds VOCdevkit, coco, cityscapes or nyu, or make data with "
            f"`densebench data scenes {'FOLDER' if root.exists() else root}`.",
        )
    root = root.resolve()  # a loader's paths and the manifest's are compared as text
    path = specification or root / "densebench.json"
    if specification is None and not path.is_file():
        return DataSpec(root, OFFICIAL_NAME, {})
    what = "a data specification"
    mend = 'It needs {"schema": 1, "name": ..., and a section for each data set that is not official}: docs/data.md.'
    content = read_object(path, what=what, mend=mend)
    try:
        for key, kind in (("schema", int), ("name", str)):
            if not isinstance(content.get(key), kind):
                raise ValueError(f"its '{key}' is of another kind" if key in content else f"it has no '{key}'")
        if content["schema"] != 1:
            raise ValueError("its schema is not 1")
        if content["name"] == OFFICIAL_NAME:
            raise ValueError(f"its name is '{OFFICIAL_NAME}', which is that of data without a specification")
        sections = {key: content[key] for key in OFFICIAL if key in content}
        for key, part in sections.items():
            check(key, part)
    except ValueError as error:
        raise DensebenchError(f"{path} is not {what}: {error}.", mend) from error
    unfamiliar = set(content) - {"schema", "name", "generator", "pretrain", *OFFICIAL}
    if unfamiliar:
        raise DensebenchError(
            f"{path} has the unknown section '{min(unfamiliar)}'.",
            f"Sections: {', '.join(OFFICIAL)}.",
        )
    return DataSpec(root, content["name"], sections, content.get("generator", {}))
