"""Networks written after lightly's examples (docs.lightly.ai): the children of a ResNet in an unnamed sequence.

`nn.Sequential(*resnet.children())` without the classifier numbers them: 0 is conv1, 1 is bn1, 4 to 7 are the stages.
The examples keep the state dict of their module, plain or in Lightning's checkpoint.
"""

from __future__ import annotations

import re

from benchmark.prefixed import Naming, Trunk

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

matches, read = NAMING.matches, NAMING.read
