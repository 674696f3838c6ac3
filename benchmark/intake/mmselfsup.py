"""OpenSelfSup's, MMSelfSup's and MMPreTrain's training checkpoints.

OpenSelfSup's student names the backbone a second time: `encoder_q.0.*`, `online_net.0.*` are `backbone.*`.
MMSelfSup 1 and MMPreTrain name it once, and wrap the teacher: `encoder_k.module.0.*`.
"""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk

NAMING = Naming(
    "mmselfsup",
    (
        Trunk("backbone", ("state_dict",), "backbone.", doubles=("encoder_q.0.", "online_net.0.")),
        Trunk("key", ("state_dict",), "encoder_k.0."),
        Trunk("key", ("state_dict",), "encoder_k.module.0."),
        Trunk("target", ("state_dict",), "target_net.0."),
        Trunk("target", ("state_dict",), "target_net.module.0."),
    ),
    beside=("encoder_q.", "encoder_k.", "online_net.", "target_net.", "neck.", "head.", "queue", "data_preprocessor."),
    evidence="meta",  # mmcv's and mmengine's runners write it
)

matches, read = NAMING.matches, NAMING.read
