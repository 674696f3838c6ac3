"""detectron2: a pickle of arrays under its own names, as MoCo's conversion script writes it."""

from __future__ import annotations

import pickle
from pathlib import Path

from benchmark.certify import Backbone
from benchmark.intake import detectron2
from benchmark.outlet import named
from pretrain.errors import DensebenchError
from pretrain.files import replacing

FORMAT = "detectron2"
SUFFIXES = (".pkl",)
DEPTHS = ("18", "34", "50", "101", "152")  # of detectron2's build_resnet_backbone


def write(path: Path, trunk: Backbone) -> list[str]:
    """Write the arrays, and say which options make detectron2 build this network.

    Raises:
        DensebenchError: detectron2 has no such network.
    """
    depth = trunk.arch.removeprefix("resnet")
    if depth not in DEPTHS:
        raise DensebenchError(f"detectron2 has no {trunk.arch}.")
    tensors = named(trunk, {_name(name): one for name, one in trunk.state.items()}, detectron2.rename)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    content = {"model": arrays, "__author__": "densebench", "matching_heuristics": True}
    # numpy 2 says `numpy._core`, which the older ones of most detectron2 installations lack; both know `numpy.core`.
    data = pickle.dumps(content, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    narrow = ", RES2_OUT_CHANNELS 64" if depth in DEPTHS[:2] else ""
    mean, std = ([round(value, 3) for value in values] for values in (trunk.mean, trunk.std))
    return [
        f"In detectron2's configuration: MODEL.RESNETS.DEPTH {depth}, STRIDE_IN_1X1 False{narrow}; "
        f"MODEL.PIXEL_MEAN {mean}, PIXEL_STD {std}; INPUT.FORMAT {trunk.channel_order}."
    ]


def _name(name: str) -> str:
    """Return detectron2's name: layer1.0.bn1.bias is res2.0.conv1.norm.bias."""
    stage, _, rest = name.rpartition("layer")[2].partition(".")
    place = f"res{int(stage) + 1}.{rest}" if name.startswith("layer") else f"stem.{name}"
    for number in "123":
        place = place.replace(f"bn{number}.", f"conv{number}.norm.")
    return place.replace("downsample.0.", "shortcut.").replace("downsample.1.", "shortcut.norm.")
