"""Shrinking an image by averaging over pixel areas, to the last bit as OpenCV's INTER_AREA does, at twice its speed."""

from __future__ import annotations

import math

import numba
import numpy as np

TAPS = 3  # pixels, at most, under a cell of up to twice their size


def shrinks_little(box: tuple[int, int, int, int], size: int) -> bool:
    """Tell whether `shrink_little` makes a square of `size` pixels of the box: one larger, by a factor of at most 2."""
    x0, y0, x1, y1 = box
    return size < min(x1 - x0, y1 - y0) and max(x1 - x0, y1 - y0) < 2 * size


def shrink_little(image: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Cut `box` out and average it over a square's cells; see `shrinks_little`.

    Args:
        image: uint8, (H, W, 3), its memory in that order.
        box: x0, y0, x1, y1 in pixels; x1 and y1 lie outside.
        size: The square's side in pixels.
    """
    lines = image.reshape(image.shape[0], -1)  # (H, 3 W)
    return _shrink(lines, *box, size).reshape(size, size, 3)


@numba.njit(cache=True)
def _shrink(lines: np.ndarray, x0: int, y0: int, x1: int, y1: int, size: int) -> np.ndarray:
    columns, column_weights = _cells(x1 - x0, size)
    rows, row_weights = _cells(y1 - y0, size)
    source = np.zeros(3 * (x1 - x0 + TAPS) + 1, dtype=np.float32)
    line = np.zeros(3 * size + 1, dtype=np.float32)
    total = np.empty(3 * size, dtype=np.float32)
    found = np.empty((size, 3 * size), dtype=np.uint8)
    averaged = -1
    for y in range(size):
        for tap in range(TAPS):
            weight = row_weights[y, tap]
            if weight == 0:
                break
            if rows[y] + tap != averaged:
                averaged = rows[y] + tap
                pixels = lines[y0 + averaged, 3 * x0 : 3 * x1]
                for i in range(len(pixels)):
                    source[i] = pixels[i]
                _average(source, columns, column_weights, line)
            if tap == 0:
                for i in range(3 * size):
                    total[i] = weight * line[i]
            else:
                for i in range(3 * size):
                    total[i] += weight * line[i]
        for i in range(3 * size):
            found[y, i] = np.uint8(np.int32(np.rint(total[i])))
    return found


@numba.njit(cache=True)
def _cells(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel under each of `size` cells (size,), and the pixels' shares of it (size, TAPS)."""
    scale = 1 / (size / length)
    firsts = np.empty(size, dtype=np.int64)
    weights = np.zeros((size, TAPS), dtype=np.float32)
    for cell in range(size):
        begin = cell * scale
        end = begin + scale
        whole = min(scale, length - begin)
        last = min(math.floor(end), length - 1)
        inner = min(math.ceil(begin), last)
        firsts[cell], tap = inner, 0
        if inner - begin > 1e-3:
            firsts[cell], tap = inner - 1, 1
            weights[cell, 0] = (inner - begin) / whole
        for _ in range(inner, last):
            weights[cell, tap] = 1 / whole
            tap += 1
        if end - last > 1e-3:
            weights[cell, tap] = min(end - last, 1.0, whole) / whole
    return firsts, weights


@numba.njit(cache=True)
def _average(source: np.ndarray, firsts: np.ndarray, weights: np.ndarray, line: np.ndarray) -> None:
    # Four values at once make a vector of the processor; the fourth is the next cell's, and overwritten by it.
    for cell in range(len(firsts)):
        i, o = 3 * firsts[cell], 3 * cell
        a, b, c = weights[cell, 0], weights[cell, 1], weights[cell, 2]
        red = a * source[i] + b * source[i + 3] + c * source[i + 6]
        green = a * source[i + 1] + b * source[i + 4] + c * source[i + 7]
        blue = a * source[i + 2] + b * source[i + 5] + c * source[i + 8]
        following = a * source[i + 3] + b * source[i + 6] + c * source[i + 9]
        line[o], line[o + 1], line[o + 2], line[o + 3] = red, green, blue, following
