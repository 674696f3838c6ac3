"""A contact sheet of the scenes: each photograph beside its four kinds of labels, read back from disk."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pretrain.errors import DensebenchError
from pretrain.files import replacing

Picture = NDArray[np.uint8]
CELL = 320
MARGIN = 34
TITLES = ("photograph", "VOC boxes", "VOC segmentation", "COCO masks", "Cityscapes labels", "NYU depth")


def sheet(root: Path, out: Path, count: int = 6) -> Path:
    """Draw training scenes that have all labels, one a row.

    Args:
        root: A data root made by `densebench data scenes`.
        out: The PNG to write.
        count: Number of scenes.

    Returns:
        `out`.

    Raises:
        DensebenchError: If the root lacks a file that the sheet shows.
    """
    try:
        spec = json.loads((root / "densebench.json").read_text())
        pairs = _scenes(root, count)
        masks = json.loads((root / "coco" / "annotations" / "instances_train2017.json").read_text())
        rows = [_row(root, spec, masks, *pair) for pair in pairs]
    except FileNotFoundError as error:
        raise DensebenchError(
            f"{root} is not a complete set of scenes: {error.filename} is missing.",
            "Make one with `densebench data scenes DIR`.",
        ) from error
    picture = np.vstack([_head(), *rows])
    with replacing(out) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    return out


def _scenes(root: Path, count: int) -> list[tuple[str, int]]:
    """VOC2012 names with segmentation, each with the index of its scene, in which the names end."""
    lists = root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation"
    names = sorted((lists / "train.txt").read_text().split() + (lists / "aug.txt").read_text().split())
    return [(name, int(name.rpartition("_")[2])) for name in names[:count]]


def _row(root: Path, spec: dict[str, Any], masks: dict[str, Any], name: str, place: int) -> Picture:
    voc = root / "VOCdevkit" / "VOC2012"
    photo = _read(voc / "JPEGImages" / f"{name}.jpg")[..., ::-1]
    classes = spec["voc_seg"]["classes"]
    streets = sorted((root / "cityscapes" / "gtFine" / "train").glob("*/*_labelTrainIds.png"))
    depths = sorted((root / "nyu" / "annotations" / "train").iterdir())
    street_classes = spec["cityscapes_seg"]["classes"]
    segmentation = np.asarray(Image.open(voc / "SegmentationClass" / f"{name}.png"))
    street = _read(streets[place])
    cells = (
        _large(photo),
        _boxes(photo, voc / "Annotations" / f"{name}.xml", classes),
        _labels(photo, segmentation, _palette(len(classes))),
        _masks(photo, masks, place, classes),
        _labels(photo, street, np.vstack([_STUFF_COLOURS, _palette(len(street_classes) - 1)[1:]])),
        _depth(_read(depths[place]), spec["nyu_depth"]["max_depth"]),
    )
    return np.hstack([np.pad(cell, ((4, 4), (4, 4), (0, 0)), constant_values=255) for cell in cells])


def _head() -> Picture:
    cells = []
    for title in TITLES:
        cell = np.full((MARGIN, CELL + 8, 3), 255, np.uint8)
        cv2.putText(cell, title, (6, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 30, 30), 1, cv2.LINE_AA)
        cells.append(cell)
    return np.hstack(cells)


def _boxes(photo: Picture, annotation: Path, classes: Sequence[str]) -> Picture:
    picture = _large(photo)
    colours = _palette(len(classes))
    scale = CELL / photo.shape[0]
    for found in ElementTree.parse(annotation).iter("object"):
        name = found.findtext("name", "")
        colour = colours[classes.index(name)].tolist()
        x1, y1, x2, y2 = (int(found.findtext(f"bndbox/{k}", "0")) for k in ("xmin", "ymin", "xmax", "ymax"))
        left, top = round((x1 - 1) * scale), round((y1 - 1) * scale)
        right, bottom = round(x2 * scale) - 1, round(y2 * scale) - 1
        thickness = 1 if found.findtext("difficult") == "1" else 2
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness)
        _caption(picture, name, left, top, colour)
    return picture


def _caption(picture: Picture, text: str, left: int, top: int, colour: Sequence[int]) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    left, top = min(left, CELL - width - 4), max(top, height + 6)
    cv2.rectangle(picture, (left, top - height - 6), (left + width + 4, top), colour, -1)
    place = (left + 2, top - 4)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)


def _masks(photo: Picture, content: dict[str, Any], place: int, classes: Sequence[str]) -> Picture:
    """Instances in colours of their own, crowds in white."""
    names = {category["id"]: category["name"] for category in content["categories"]}
    image = content["images"][place]["id"]
    picture = _large(photo).astype(np.float32)
    found = [a for a in content["annotations"] if a["image_id"] == image]
    for k, annotation in enumerate(found):
        mask = _large(_decode(annotation["segmentation"], photo.shape[0]), cv2.INTER_NEAREST) > 0
        colour = (255, 255, 255) if annotation["iscrowd"] else _hue(k / max(len(found), 1))
        picture[mask] = 0.45 * picture[mask] + 0.55 * np.array(colour)
        edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        picture[edge] = colour
    drawn = picture.astype(np.uint8)
    for annotation in found:
        x, y, _, _ = annotation["bbox"]
        scale = CELL / photo.shape[0]
        text = names[annotation["category_id"]] + (" (crowd)" if annotation["iscrowd"] else "")
        _caption(drawn, text, round(x * scale), round(y * scale), (40, 40, 40))
    return drawn


def _decode(segmentation: Any, size: int) -> Picture:
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        values = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8)
        return values.reshape(size, size, order="F")
    mask = np.zeros((size, size), np.uint8)
    for polygon in segmentation:
        corners = np.array(polygon, np.float32).reshape(-1, 2) - 0.5
        fixed = np.round(corners * 256).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 1, shift=8)
    return mask


def _labels(photo: Picture, labels: Picture, colours: Picture) -> Picture:
    """Labels in colour over the photograph; void in white, background as it is."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(colours)] = colours
    weight = np.full(256, 0.65, np.float32)
    weight[(table == 0).all(axis=1)] = 0
    blend = weight[labels][..., None]
    mixed = photo * (1 - blend) + table[labels] * blend
    return _large(mixed.astype(np.uint8), cv2.INTER_NEAREST)


def _depth(depth: NDArray[np.uint16], farthest: float) -> Picture:
    """Near is bright, far is dark, invalid is black."""
    near: Picture = np.clip(255 * (1 - depth / (1000 * farthest)), 20, 255).astype(np.uint8)
    picture = np.array(cv2.applyColorMap(near, cv2.COLORMAP_MAGMA)[..., ::-1], np.uint8)
    picture[depth == 0] = 0
    return _large(picture, cv2.INTER_NEAREST)


def _palette(count: int) -> Picture:
    """Black for 0, then colours round the hue circle."""
    return np.array([(0, 0, 0), *(_hue(k / (count - 1)) for k in range(count - 1))], np.uint8)


def _hue(turn: float) -> tuple[int, int, int]:
    pixel = np.array([[[round(179 * turn), 200, 225]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _large(picture: Picture, interpolation: int = cv2.INTER_CUBIC) -> Picture:
    return np.asarray(cv2.resize(picture, (CELL, CELL), interpolation=interpolation))


def _read(path: Path) -> NDArray[Any]:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))


_STUFF_COLOURS = np.array([(128, 100, 80), (90, 110, 150)], np.uint8)
