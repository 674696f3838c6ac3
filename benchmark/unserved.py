"""Networks that are known by their names, but not served: a refusal should say what it sees."""

from __future__ import annotations

import re
from collections.abc import Iterable

from benchmark import backbones
from pretrain.errors import DensebenchError

_REGNET = "a RegNet (RegNetX, another size of RegNetY, or one that is not whole)"
_SIGNS = (  # of authors' code, timm, torchvision, transformers and mm*; the first that stands in a file
    (r"(layers|stages|features)\.\d+\.(blocks\.)?\d+\..*relative_position_bias_table", "a Swin Transformer"),
    (r"(blocks|layer|layers)\.\d+\..*relative_position_bias_table", "a BEiT"),
    (r"(blocks|stages\.\d+|layers)\.\d+\.(mlp\.)?grn\.", "a ConvNeXt V2"),
    (r"trunk_output\.block\d|res\d\.block\d-|(^|\.)s\d\.b\d+\.conv1\.", _REGNET),
    (r"mlp\.(w12|weights_in|gate_proj)\.", "a vision transformer with gated perceptrons (SwiGLU)"),
)


def seen(names: Iterable[str]) -> str | None:
    """Say what network these names of tensors are of, in words; None where they tell nothing."""
    listed = list(names)
    return next((what for sign, what in _SIGNS if any(re.search(sign, name) for name in listed)), None)


def refusal(where: str, names: Iterable[str]) -> DensebenchError:
    """Describe a network that none of the served architectures is.

    Args:
        where: The file and the network in it, as the beginning of a sentence.
        names: Names of its tensors.
    """
    found = seen(names)
    what = f"is {found}, which is not served" if found else "is of no architecture that is served"
    return DensebenchError(f"{where} {what}.", f"Served: {', '.join(backbones.names())}.")
