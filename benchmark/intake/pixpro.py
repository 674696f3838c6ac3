"""PixPro (zdaxie/PixPro): the online encoder `module.encoder.`, and the momentum encoder `module.encoder_k.`."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "pixpro",
    (
        Trunk("online", ("model",), "module.encoder."),
        Trunk("momentum", ("model",), "module.encoder_k."),
    ),
    beside=("module.projector", "module.value_transform"),
)

matches, read = NAMING.matches, NAMING.read
