"""MoCo v1 and v2 (facebookresearch/moco): the wrapped query and key encoders, and the queue."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "moco",
    (
        Trunk("query", ("state_dict",), "module.encoder_q."),
        Trunk("key", ("state_dict",), "module.encoder_k."),
    ),
    beside=("module.queue",),
)

matches, read = NAMING.matches, NAMING.read
