"""SlotCon (CVMI-Lab/SlotCon): the student `encoder_q`, and the teacher `encoder_k`, which its authors transfer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "slotcon",
    (
        Trunk("teacher", ("model",), "module.encoder_k."),
        Trunk("student", ("model",), "module.encoder_q."),
    ),
    beside=tuple(f"module.{part}" for part in ("projector_", "grouping_", "predictor_slot.", "center")),
)
REFINES = ("pixpro",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by its slots."""
    return NAMING.matches(tree, metadata) and any(str(name).startswith("module.grouping_") for name in tree["model"])
