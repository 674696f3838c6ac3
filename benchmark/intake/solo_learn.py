"""solo-learn's Lightning checkpoints; older ones say `encoder.`."""

from __future__ import annotations

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

REFINES = ("mmselfsup",)
matches, read = NAMING.matches, NAMING.read
