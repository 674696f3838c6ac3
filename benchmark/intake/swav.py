"""SwAV's and DeepCluster-v2's files (facebookresearch/swav), published or of a training, with head and prototypes.

Their ResNet pads the image by 1 and its first convolution by 2: together that is torchvision's padding of 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.prefixed import Naming, Trunk
from benchmark.source import tensor_names

HEADS = ("projection_head.", "prototypes.")

NAMING = Naming(
    "swav",
    tuple(Trunk("backbone", container, prefix) for container in (("state_dict",), ()) for prefix in ("module.", "")),
    heads=HEADS,
)
REFINES = ("torchvision",)

read = NAMING.read


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell a file by the projection head."""
    starts = tuple(f"{trunk.prefix}{HEADS[0]}" for trunk in NAMING.found(tree))
    inside = tree.get("state_dict")
    return any(name.startswith(starts) for name in tensor_names(inside if isinstance(inside, Mapping) else tree))
