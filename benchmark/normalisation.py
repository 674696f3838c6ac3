"""How a network's input is normalised: as a user states it, and as other code bases write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.source import Triple
from pretrain.errors import UsageError

ASSUMED = "Nothing states the input normalisation; ImageNet's was assumed."


def asked(mean: Sequence[float], std: Sequence[float], channel_order: str | None) -> dict[str, Any]:
    """Return what a user states, under the names of `Source`; {} where that is nothing.

    Args:
        mean: Three numbers in units of 0..255, in the channels' order.
        std: Likewise.
        channel_order: "RGB" or "BGR"; by default RGB.

    Raises:
        UsageError: Only a part is stated, there are not three numbers each, or their unit is another one.
    """
    if not (mean or std or channel_order):
        return {}
    for name, values in (("--input-mean", mean), ("--input-std", std)):
        if len(values) != 3:
            raise UsageError(
                f"{name} wants three numbers and got {len(values)}.",
                "The whole normalisation is stated: --input-mean R G B --input-std R G B, and perhaps --channel-order.",
            )
    if min(std) <= 0:
        raise UsageError(f"--input-std wants numbers above 0 and got {min(std):g}.")
    if 0 < max(mean) <= 1:
        raise UsageError(
            f"--input-mean is in units of 0..255 and got {mean[0]:g} {mean[1]:g} {mean[2]:g}.",
            "Multiply mean and standard deviation by 255.",
        )
    return {"mean": tuple(mean), "std": tuple(std), "channel_order": channel_order or "RGB"}


def in_bytes(values: Any) -> Triple | None:
    """Return three numbers in units of 0..1 in units of 0..255, to six digits (0.485 is 123.675); None for others."""
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(type(one) in (int, float) for one in values):
        return None
    red, green, blue = (round(value * 255, 6) for value in values)
    return red, green, blue
