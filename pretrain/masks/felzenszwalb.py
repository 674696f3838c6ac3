"""Graph-based segmentation of Felzenszwalb and Huttenlocher (IJCV 2004), DetCon's unsupervised regions.

It gives scikit-image's regions, several times as fast: a radix sort puts the edges in order, those inside a region are
looked at once, and everything after the blur is compiled.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np

DIGIT = 11  # bits; three of them sort 32


def felzenszwalb(image: np.ndarray, scale: float = 1000.0, sigma: float = 0.8, min_size: int = 1000) -> np.ndarray:
    """Segment an image.

    Args:
        image: RGB, uint8, (H, W, 3).
        scale: k; the larger, the larger the regions. As in scikit-image and the authors' program it is for levels of
            0..255. DetCon takes 1000 (arXiv 2103.10957, Appendix A.1; generate_fh_masks_for_imagenet.py).
        sigma: Standard deviation of the blur before, in pixels.
        min_size: Regions of fewer pixels are joined to a neighbour.

    Returns:
        Regions (1, H, W), uint16, numbered from 1 in the order of their first pixels.
    """
    smooth: np.ndarray = image.astype(np.float32) / 255
    if sigma > 0:  # as scipy: four standard deviations to each side, and the border mirrored
        side = 2 * int(4 * sigma + 0.5) + 1
        smooth = cv2.GaussianBlur(smooth, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    regions: np.ndarray = _segment(smooth, scale / 255, min_size)
    return regions[None]


@numba.njit(cache=True)
def _segment(image: np.ndarray, scale: float, min_size: int) -> np.ndarray:
    height, width = image.shape[:2]
    edges, weights = _sorted_edges(image)
    parent = np.arange(height * width, dtype=np.int32)
    size = np.ones(height * width, dtype=np.int32)
    limit = np.full(height * width, scale, dtype=np.float32)  # Int(C) + k / |C| of the region C at its root
    between = np.empty(len(edges), dtype=np.int32)  # edges that joined nothing, still by rising weight
    left = 0
    for place in range(len(edges)):
        a, b = _ends(edges[place], width)
        a, b = _root(parent, a), _root(parent, b)
        if a == b:
            continue
        weight = weights[place]
        if weight < limit[a] and weight < limit[b]:
            a = _join(parent, size, a, b)
            limit[a] = weight + scale / size[a]
        else:
            between[left] = edges[place]
            left += 1
    for edge in between[:left]:
        a, b = _ends(edge, width)
        a, b = _root(parent, a), _root(parent, b)
        if a != b and (size[a] < min_size or size[b] < min_size):
            _join(parent, size, a, b)
    return _numbered(parent, height, width)


@numba.njit(cache=True)
def _sorted_edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges between 8-neighbours by rising weight, and their weights.

    An edge is 4 times the pixel it starts from, plus its direction: right, down, down right, down left.
    """
    height, width, channels = image.shape
    edges = np.empty(4 * height * width, dtype=np.int32)
    weights = np.empty(4 * height * width, dtype=np.float32)
    count = 0
    for y in range(height):
        for x in range(width):
            for direction in range(4):
                v, u = y + (direction > 0), x + (1, 0, 1, -1)[direction]
                if v < height and 0 <= u < width:
                    square = np.float32(0)
                    for channel in range(channels):
                        apart = image[y, x, channel] - image[v, u, channel]
                        square += apart * apart
                    edges[count] = 4 * (y * width + x) + direction
                    weights[count] = np.sqrt(square)
                    count += 1
    edges, keys = edges[:count], weights[:count].view(np.uint32)  # the bits of positive floats rise as they do
    for shift in (0, DIGIT, 2 * DIGIT):  # a radix sort
        edges, keys = _sorted_by_digit(edges, keys, shift)
    return edges, keys.view(np.float32)


@numba.njit(cache=True)
def _sorted_by_digit(edges: np.ndarray, keys: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.zeros((1 << DIGIT) + 1, dtype=np.int32)
    mask = np.uint32((1 << DIGIT) - 1)
    for key in keys:
        starts[((key >> np.uint32(shift)) & mask) + 1] += 1
    for digit in range(1 << DIGIT):
        starts[digit + 1] += starts[digit]
    new_edges, new_keys = np.empty_like(edges), np.empty_like(keys)
    for place in range(len(edges)):
        bucket = (keys[place] >> np.uint32(shift)) & mask
        new_edges[starts[bucket]] = edges[place]
        new_keys[starts[bucket]] = keys[place]
        starts[bucket] += 1
    return new_edges, new_keys


@numba.njit(cache=True)
def _ends(edge: int, width: int) -> tuple[int, int]:
    pixel = edge >> 2
    return pixel, pixel + (1, width, width + 1, width - 1)[edge & 3]


@numba.njit(cache=True)
def _root(parent: np.ndarray, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(cache=True)
def _join(parent: np.ndarray, size: np.ndarray, a: int, b: int) -> int:
    """Join two regions by their roots, the smaller one below the larger; return the root of both."""
    if size[a] < size[b]:
        a, b = b, a
    parent[b] = a
    size[a] += size[b]
    return a


@numba.njit(cache=True)
def _numbered(parent: np.ndarray, height: int, width: int) -> np.ndarray:
    numbers = np.zeros(height * width, dtype=np.int32)
    regions = np.empty((height, width), dtype=np.uint16)
    count = 0
    for pixel in range(height * width):
        root = _root(parent, pixel)
        if numbers[root] == 0:
            count += 1
            numbers[root] = count
        regions[pixel // width, pixel % width] = min(numbers[root], 65535)
    return regions
