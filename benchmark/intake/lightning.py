"""Lightning's checkpoints of any module: a ResNet with torchvision's names behind whatever attribute it is kept in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.intake import general
from benchmark.source import Source

EVIDENCE = "pytorch-lightning_version"


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell Lightning's checkpoints by the version that they name."""
    return EVIDENCE in tree and general.matches(tree, metadata)


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the network that is wanted, or that the field's words choose, as the general reader does.

    Raises:
        DensebenchError: There is none.
        UsageError: There are several, and the names give no hint.
    """
    return dataclasses.replace(general.read(path, tree, metadata, wanted), format="lightning")
