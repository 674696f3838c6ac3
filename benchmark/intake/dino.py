"""DINO's and SelfPatch's whole checkpoints, of ResNets and ViTs; their authors evaluate the teacher.

The student is always wrapped (`module.`), the teacher only where the network has batch norm, as a ResNet has.
"""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

HEADS = ("head.", "ca_head.", "c_head.", "p_head.")  # DINO's, and SelfPatch's three

NAMING = Naming(
    "dino",
    tuple(
        Trunk(name, (name,), f"{wrapper}backbone.") for name in ("teacher", "student") for wrapper in ("", "module.")
    ),
    beside=HEADS + tuple(f"module.{head}" for head in HEADS),
)

matches, read = NAMING.matches, NAMING.read
