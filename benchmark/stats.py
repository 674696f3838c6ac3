"""Mean, spread and verdict of a handful of seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

LEAST_SEEDS = 3  # fewer are not called better or worse: the spread of two seeds is hardly known
# Student's t, two-sided 95%, for 1, 2, ... degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods,
# section 1.3.6.7.2); beyond the last, which is 6% above the limit of 1.960, the last holds.
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


@dataclass(frozen=True)
class Summary:
    """The mean of n seeds and their sample standard deviation (ddof = 1; NaN for a single seed)."""

    mean: float
    sd: float
    n: int


def summarise(values: Iterable[float]) -> Summary:
    """Summarise the seeds of one row; their order does not matter, to the last bit.

    Raises:
        ValueError: There are no values.
    """
    numbers = list(values)
    n = len(numbers)
    if n == 0:
        raise ValueError("there is no value to summarise")
    mean = math.fsum(numbers) / n
    if n == 1:
        return Summary(mean, math.nan, 1)
    return Summary(mean, math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (n - 1)), n)


def pooled_sd(first: float, second: float) -> float:
    """Return the spread that two rows share: the root of the mean of their variances."""
    return math.sqrt((first**2 + second**2) / 2)


def separated(first: Summary, second: Summary) -> bool:
    """Say whether two means differ by more than two pooled standard deviations; never for a single seed."""
    if min(first.n, second.n) < 2:
        return False
    return abs(first.mean - second.mean) > 2 * pooled_sd(first.sd, second.sd)


def verdict(row: Summary, reference: Summary, direction: str) -> str:
    """Say how a row stands to a reference row: "better", "worse", "not separated" or "too few seeds".

    Args:
        row: What is judged.
        reference: What it is held against.
        direction: "higher" or "lower" is better.
    """
    if min(row.n, reference.n) < LEAST_SEEDS:
        return "too few seeds"
    if not separated(row, reference):
        return "not separated"
    return "better" if (row.mean > reference.mean) == (direction == "higher") else "worse"


def against_paper(row: Summary, paper: float, resolution: float) -> str:
    """Say how a measured row stands to a printed number: "agrees", "above", "below" or "one seed: no verdict".

    The number agrees when it lies where one more seed is expected in 95 of 100 cases, within t s sqrt(1 + 1 / n) of
    the mean of n seeds with the standard deviation s (t: Student's quantile for n - 1 degrees of freedom); a printed
    number is uncertain by half of its last digit besides.

    Args:
        row: What was measured.
        paper: The printed number.
        resolution: The unit of its last digit, such as 0.1.
    """
    if row.n < 2:
        return "one seed: no verdict"
    spread = STUDENT[min(row.n - 1, len(STUDENT)) - 1] * row.sd * math.sqrt(1 + 1 / row.n)
    # a hair of slack: 56.75 and 56.7 differ by half a digit in decimals, and by a little more in floats
    if abs(row.mean - paper) <= spread + resolution / 2 + 1e-9:
        return "agrees"
    return "above" if row.mean > paper else "below"
