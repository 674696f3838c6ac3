"""DINO's whole checkpoints of a ResNet (facebookresearch/dino); its authors evaluate the teacher."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "dino",
    (
        Trunk("teacher", ("teacher",), "module.backbone."),
        Trunk("student", ("student",), "module.backbone."),
    ),
    beside=("module.head.",),
)

matches, read = NAMING.matches, NAMING.read
