"""VICReg's and VICRegL's whole ResNet checkpoints; their backbone files have torchvision's names."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "vicreg",
    (Trunk("backbone", ("model",), "module.backbone."),),
    beside=("module.projector.", "module.maps_projector.", "module.classifier.", "module.maps_classifier."),
)

matches, read = NAMING.matches, NAMING.read
