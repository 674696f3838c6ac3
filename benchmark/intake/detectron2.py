"""detectron2's pickles, as MoCo's, PixPro's, ReSim's and SlotCon's conversion scripts write them.

Their common rule: a name outside the stages gets `stem.`, stage N is `res(N + 1)`, a convolution's norm is its part.
ReSim's holds its feature pyramid, too, which is left out.
"""

from __future__ import annotations

import re

from benchmark.prefixed import Naming, Trunk

_NORM = re.compile(r"conv(\d)\.norm\.")
_STAGE = re.compile(r"^res(\d)\.")


def rename(name: str) -> str:
    """Return torchvision's name: res2.0.conv1.norm.bias is layer1.0.bn1.bias."""
    name = _NORM.sub(r"bn\1.", name.removeprefix("stem."))
    name = name.replace("shortcut.norm.", "downsample.1.").replace("shortcut.", "downsample.0.")
    return _STAGE.sub(lambda stage: f"layer{int(stage[1]) - 1}.", name)


NAMING = Naming(
    "detectron2",
    (Trunk("backbone", ("model",), ""),),
    heads=("fc.", "stem.fc.", "backbone.fpn_"),
    rename=rename,
    evidence="matching_heuristics",
)

matches, read = NAMING.matches, NAMING.read
