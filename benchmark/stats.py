"""Mean, spread and verdict of a handful of seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


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
    if min(row.n, reference.n) < 2:
        return "too few seeds"
    if not separated(row, reference):
        return "not separated"
    return "better" if (row.mean > reference.mean) == (direction == "higher") else "worse"


def against_paper(row: Summary, paper: float, resolution: float) -> str:
    """Say how a measured row stands to a printed number.

    The number agrees when it lies within two standard deviations of the measured mean, a printed number being
    uncertain by half of its last digit. One seed gives a difference and no verdict.

    Args:
        row: What was measured.
        paper: The printed number.
        resolution: The unit of its last digit, such as 0.1.
    """
    difference = row.mean - paper
    if row.n < 2:
        return f"{difference:+.2f}, one seed: no verdict"
    # a hair of slack: 56.75 and 56.7 differ by half a digit in decimals, and by a little more in floats
    agrees = abs(difference) <= 2 * row.sd + resolution / 2 + 1e-9
    word = "agrees" if agrees else "above" if difference > 0 else "below"
    return f"{difference:+.2f}, {word}"
