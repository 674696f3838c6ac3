"""solo-learn's Lightning checkpoints; older ones say `encoder.`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "solo_learn",
    (
        Trunk("backbone", ("state_dict",), "backbone."),
        Trunk("encoder", ("state_dict",), "encoder."),
        Trunk("momentum", ("state_dict",), "momentum_backbone."),
    ),
    beside=("projector.", "predictor.", "classifier.", "momentum_projector.", "momentum_classifier.", "queue"),
    evidence="pytorch-lightning_version",
)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell them from other Lightning checkpoints by the linear classifier that solo-learn trains beside."""
    return NAMING.matches(tree, metadata) and any(str(name).startswith("classifier.") for name in tree["state_dict"])
