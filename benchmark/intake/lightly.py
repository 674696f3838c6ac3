"""Networks written after lightly's examples (docs.lightly.ai): the children of a ResNet in an unnamed sequence.

`nn.Sequential(*resnet.children())` without the classifier numbers them: 0 is conv1, 1 is bn1, 4 to 7 are the stages.
The examples keep the state dict of their module, plain or in Lightning's checkpoint; the tutorials keep the sequence's
alone, such as {"resnet18_parameters": {"0.weight": ...}}.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.prefixed import Naming, Trunk
from benchmark.source import Source

_STEM = re.compile(r"([01])\.(\w+)")
_STAGE = re.compile(r"([4-7])\.(\d+\..+)")
_PREFIXES = {  # what is evaluated stands first; DINO's example has a student and a teacher
    "backbone": "backbone.",
    "teacher": "teacher_backbone.",
    "student": "student_backbone.",
    "momentum": "backbone_momentum.",
}


def rename(name: str) -> str:
    """Return torchvision's name: 4.1.conv2.weight is layer1.1.conv2.weight."""
    stem, stage = _STEM.fullmatch(name), _STAGE.fullmatch(name)
    if stem:
        return f"{('conv1', 'bn1')[int(stem[1])]}.{stem[2]}"
    return f"layer{int(stage[1]) - 3}.{stage[2]}" if stage else name


NAMING = Naming(
    "lightly",
    tuple(Trunk(name, box, start) for box in (("state_dict",), ()) for name, start in _PREFIXES.items()),
    heads=("9.",),
    beside=("",),  # heads and losses are called as everybody likes
    rename=rename,
    landmark="0.weight",
)

_BLOCK = "4.0.conv1.weight"  # an unnamed sequence of other layers has a 0.weight, too


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell the numbered children behind the examples' names, or by themselves."""
    return _naming(tree).matches(tree, metadata)


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the wanted network, by default the backbone or the teacher.

    Raises:
        DensebenchError: The file holds none, or its architecture is not served.
        UsageError: The wanted one is not there.
    """
    return _naming(tree).read(path, tree, metadata, wanted)


def _naming(tree: Mapping[str, Any]) -> Naming:
    """Return how this file's names begin: in the tutorials they have no prefix, in a container of any one name."""
    boxes = [(), *((key,) for key, value in tree.items() if isinstance(value, Mapping))]
    bare = [box for box in boxes if _BLOCK in (tree[box[0]] if box else tree)]
    if len(bare) != 1 or NAMING.found(tree):
        return NAMING
    return dataclasses.replace(NAMING, trunks=(Trunk("backbone", bare[0], ""),), beside=())
