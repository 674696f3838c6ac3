"""Putting one scene's pictures on disk."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 90
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EXDEV)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An RGB image (H, W, 3) as JPEG."""
    return _encode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(image: NDArray[Any]) -> bytes:
    """An RGB image (H, W, 3), uint8, or one channel (H, W), uint8 or uint16, as PNG."""
    ordered = image[..., ::-1] if image.ndim == 3 else image
    return _encode(".png", ordered, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE])


def palette_png(labels: NDArray[np.uint8]) -> bytes:
    """Labels (H, W) as PNG in VOC's palette."""
    picture = Image.fromarray(labels)
    picture.putpalette(_PALETTE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        target.write_bytes(source.read_bytes())


def _encode(kind: str, image: NDArray[Any], options: list[int]) -> bytes:
    _, data = cv2.imencode(kind, np.ascontiguousarray(image), options)
    return data.tobytes()


def _voc_palette() -> list[int]:
    """VOC's colours: the bits of the label, dealt to red, green and blue from the highest bit down."""
    return [
        sum(((label >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for label in range(256)
        for channel in range(3)
    ]


_PALETTE = _voc_palette()
