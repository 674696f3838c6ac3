"""VISSL's training checkpoints (facebookresearch/vissl): ResNets under torchvision's names, and SEER's RegNetYs."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "vissl",
    (Trunk("trunk", ("classy_state_dict", "base_model", "model", "trunk"), "_feature_blocks."),),
)

matches, read = NAMING.matches, NAMING.read
