"""ReSim (Tete-Xiao/ReSim): MoCo's query and key encoders, with the feature pyramid that it pretrains beside.

The pyramid is left out: protocols build their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk

PYRAMID = ("fpn_lateral", "fpn_output")

NAMING = Naming(
    "resim",
    (
        Trunk("query", ("state_dict",), "module.encoder_q."),
        Trunk("key", ("state_dict",), "module.encoder_k."),
    ),
    heads=("fc.", *PYRAMID),
    beside=("module.queue",),
)
REFINES = ("moco",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by the pyramid."""
    wanted = tuple(f"module.encoder_{which}.{part}" for which in "qk" for part in PYRAMID)
    return NAMING.matches(tree, metadata) and any(str(name).startswith(wanted) for name in tree["state_dict"])
