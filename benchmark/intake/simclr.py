"""SimCLR v1 and v2, converted from TensorFlow by SimCLRv2-Pytorch."""

from __future__ import annotations

from benchmark.prefixed import Naming, Trunk


def rename(name: str) -> str:
    """Return torchvision's name of a converted network's tensor: layer1.0.conv2.weight is 1.blocks.0.net.2.weight."""
    parts = name.split(".")
    if parts[0] == "0":  # the stem
        return f"conv1.{parts[-1]}" if parts[1] == "0" else f"bn1.{parts[-1]}"
    if len(parts) < 6 or parts[1] != "blocks":
        return name
    block = f"layer{parts[0]}.{parts[2]}"
    if parts[3] == "projection":
        return f"{block}.downsample.{0 if parts[4] == 'shortcut' else 1}.{parts[-1]}"
    place = int(parts[4])  # convolutions and norms in turn
    return f"{block}.{'bn' if place % 2 else 'conv'}{place // 2 + 1}.{parts[-1]}"


NAMING = Naming(
    "simclr",
    (Trunk("trunk", ("resnet",), "net."),),
    beside=("fc.",),
    rename=rename,
)

matches, read = NAMING.matches, NAMING.read
