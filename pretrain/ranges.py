"""The range of every number that `--set` takes: by name, for a recipe's fields and all methods' keywords alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pretrain.errors import UsageError


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; with `above` and `below`, without the bound itself."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: float) -> bool:
        low = self.low < number if self.above else self.low <= number
        return low and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.low:g}"
        return low if self.high == math.inf else f"{low} and {'below' if self.below else 'at most'} {self.high:g}"


COUNT = Range(1)
AMOUNT = Range(0)
POSITIVE = Range(0, above=True)
SHARE = Range(0, 1)
SHARE_OF_SOME = Range(0, 1, above=True)
SHARE_BELOW_ALL = Range(0, 1, below=True)
OF_WINDOWS = Range(1, 224)  # pixels of a view of 224

_NAMES = {
    COUNT: """batch_size batch_norm_groups bottleneck context_width decoder_depth decoder_heads decoder_width
        dimension first_offset grid hidden image_size last_offset local_dimension local_size negative_images
        neighbourhood num_matches patch_dimension positives queue_size region_dimension regions sequence_length
        small_size smallest_size""",
    AMOUNT: """colour_strength context_blocks covariance_weight end_lr end_weight_decay epochs gamma invariance_weight
        iterations local_views lr milestones patch_weight region_weight sigma small_views variance_weight warmup_epochs
        weight_decay""",
    POSITIVE: "attention_temperature clip_grad first_teacher_temperature scale teacher_temperature temperature",
    SHARE: "alpha bank_momentum centre_momentum ema_momentum freeze_last_layer loss_weight temperature_warmup",
    SHARE_OF_SOME: "crop_scale layer_decay local_scale position_mask_ratio small_scale",
    SHARE_BELOW_ALL: "betas dense_warmup drop_path mask_ratio sgd_momentum token_drop",
    OF_WINDOWS: "c3_window c4_window",
}
RANGES = {name: allowed for allowed, names in _NAMES.items() for name in names.split()}
BOUNDS = ("crop_scale", "local_scale", "small_scale")  # the lower one, then the upper one


def check(name: str, value: Any) -> None:
    """Hold a setting to its range; one that is None, or that has no range, is free.

    Args:
        name: A recipe's field or a method's keyword.
        value: A number, or a tuple of them, each of which is held to the range.

    Raises:
        UsageError: A number is outside.
    """
    if name not in RANGES or value is None:
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if any(number not in RANGES[name] for number in numbers):
        each = "Each number of " if isinstance(value, tuple) else ""
        raise UsageError(f"{each}{name} should be {RANGES[name]}; {value} was given.")
    if name in BOUNDS and list(numbers) != sorted(numbers):
        raise UsageError(f"{name} should be a lower and an upper bound; {value} was given.")
