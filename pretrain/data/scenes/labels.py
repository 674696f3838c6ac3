"""From the truth about every pixel to the labels of the data sets: boxes, outlines, runs, borders, depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pretrain.data.scenes.noise import Array, Bank
from pretrain.data.scenes.render import CLUTTER, TINY, Scene
from pretrain.data.scenes.spec import MAX_DEPTH, STUFF, VOID

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """The tight box around visible pixels: columns left..right and rows top..bottom, the ends excluded."""

    left: int
    top: int
    right: int
    bottom: int


def tight_box(mask: Mask) -> Box:
    """The smallest box around the pixels of a mask (H, W) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def outline(mask: Mask, box: Box) -> list[int] | None:
    """The polygon along the pixels' edges: x1, y1, x2, y2, ...; rasterised it gives the mask again.

    None where one polygon cannot say it: the mask (H, W) has holes, several parts, or parts that touch at a
    corner only.

    Args:
        mask: The mask, not empty.
        box: Its tight box.
    """
    mask = mask[box.top : box.bottom, box.left : box.right]
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), np.int8)
    padded[1:-1, 1:-1] = mask
    down, along = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    stride = width + 1
    following: dict[int, int] = {}
    edges = 0
    # Edges run with the mask on their right hand: (where, sign of the step into the mask, start, end).
    for steps, sign, start, end in (
        (down, 1, 0, 1),
        (down, -1, 1, 0),
        (along, 1, stride, 0),
        (along, -1, 0, stride),
    ):
        y, x = np.nonzero(steps == sign)
        corner = y * stride + x
        edges += corner.size
        following.update(zip((corner + start).tolist(), (corner + end).tolist(), strict=True))
    if len(following) != edges:
        return None
    first = current = min(following)
    path = []
    while True:
        path.append(current)
        current = following[current]
        if current == first:
            break
    if len(path) != edges:
        return None
    points = np.array(path)
    turns = np.roll(points, 1) - points != points - np.roll(points, -1)
    y, x = np.divmod(points[turns], stride)
    polygon: list[int] = np.stack([x + box.left, y + box.top], axis=1).ravel().tolist()
    return polygon


def runs(mask: Mask) -> list[int]:
    """COCO's uncompressed run lengths of a mask (H, W): column by column, zeros first."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.concatenate([[0], changes, [mask.size]])
    lengths: list[int] = np.diff(ends).tolist()
    return lengths


def border(instance: Labels) -> Mask:
    """The two-pixel seam around every labelled object, half of it inside and half outside, (H, W)."""
    objects = np.where(instance < TINY, instance, 0).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(cv2.morphologyEx(objects, cv2.MORPH_GRADIENT, cross) > 0)


def voc_classes(scene: Scene) -> Labels:
    """VOC's labels without a seam: 0 background and clutter, k + 1 for class k, 255 too small to label."""
    table = np.zeros(256, np.uint8)
    for number, thing in enumerate(scene.things, 1):
        table[number] = thing.label + 1
    table[TINY] = VOID
    return table[scene.instance]


def street_classes(scene: Scene) -> Labels:
    """Cityscapes' train ids: ground, backdrop, objects; 255 for clutter and along the objects' borders."""
    table = np.zeros(256, np.uint8)
    for number, thing in enumerate(scene.things, 1):
        table[number] = thing.label + len(STUFF)
    table[TINY] = table[CLUTTER] = VOID
    labels = np.where(scene.instance == 0, np.where(scene.ground, 0, 1), table[scene.instance])
    labels[border(scene.instance)] = VOID
    return labels.astype(np.uint8)


def depth_map(rng: np.random.Generator, bank: Bank, depth: Array) -> NDArray[np.uint16]:
    """Depth in millimetres as a structured-light sensor gives it, 0 = invalid; (H, W).

    Invalid: beyond `MAX_DEPTH`, the sliver beside a near object that the projector does not reach, and a few
    blotches.
    """
    size = depth.shape[0]
    depth = np.minimum(depth, 2 * MAX_DEPTH)
    sliver = max(1, round(size * 0.012))
    beside = np.zeros_like(depth)
    beside[:, :-sliver] = depth[:, sliver:]
    beside[:, -sliver:] = depth[:, -sliver:]
    invalid = (depth - beside > 0.5) | (depth > MAX_DEPTH)
    axis = np.arange(size, dtype=np.float32) / size
    u, v = np.meshgrid(axis, axis)
    shift = rng.random(2, dtype=np.float32)
    invalid |= bank.look("cloud", u + shift[0], v + shift[1], 1 / size) < rng.uniform(0, 0.12)
    millimetres = np.round(np.where(invalid, 0, depth) * 1000)
    return millimetres.astype(np.uint16)
