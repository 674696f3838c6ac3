"""Predictions beside the truth, as a picture: one column an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from pretrain.files import replacing

if TYPE_CHECKING:
    from benchmark.predict import Objects, Prediction

Array = NDArray[Any]
IGNORED = 255
_COLOURS = colormaps["tab20"]


def draw(predictions: Sequence[Prediction], title: str, path: Path) -> None:
    """Write a PNG with three rows: the images, the truth, the predictions.

    Of the detected objects as many are drawn as the image truly has, the highest scores first.

    Args:
        predictions: At least one.
        title: What stands above.
        path: The PNG.
    """
    columns = len(predictions)
    figure = Figure(figsize=(1.9 * columns + 0.4, 6.9), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(3, columns, squeeze=False)
    for column, prediction in zip(grid.T, predictions, strict=True):
        for axes, content in zip(column, (None, prediction.truth, prediction.prediction), strict=True):
            axes.set_xticks([])
            axes.set_yticks([])
            _panel(axes, prediction, content)
    for axes, name in zip(grid[:, 0], ("image", "truth", "prediction"), strict=True):
        axes.set_ylabel(name)
    _legend(figure, predictions)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _panel(axes: Axes, prediction: Prediction, content: Array | Objects | None) -> None:
    truth = prediction.truth
    if content is None:
        axes.imshow(prediction.image)
    elif isinstance(content, np.ndarray) and isinstance(truth, np.ndarray):
        if prediction.classes:
            axes.imshow(_painted(content))
        else:
            known = truth[truth > 0]
            low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
            axes.imshow(np.where(content > 0, content, np.nan), cmap="viridis_r", vmin=low, vmax=high)
            axes.set_facecolor("black")
            axes.set_xlabel(f"{low:.1f} to {high:.1f} m" if content is truth else "", fontsize=7)
    elif not isinstance(content, np.ndarray) and not isinstance(truth, np.ndarray):
        axes.imshow(prediction.image, alpha=0.75)
        _objects(axes, content, most=len(truth.labels))


def _objects(axes: Axes, objects: Objects, most: int) -> None:
    order = np.arange(len(objects.labels)) if objects.scores is None else np.argsort(-objects.scores)
    for index in order[:most]:
        colour = _colour(int(objects.labels[index]))
        x0, y0, x1, y1 = objects.boxes[index]
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.6))
        if objects.scores is not None:
            text = f"{objects.scores[index]:.2f}"  # within the box, for a box can touch the frame
            axes.text(x0 + 1, y0, text, color="white", fontsize=6, va="top", clip_on=True)
        if objects.masks is not None:
            mask = objects.masks[index].astype(float)
            axes.imshow(np.dstack([np.broadcast_to(colour, (*mask.shape, 3)), 0.5 * mask]))


def _painted(labels: Array) -> Array:
    """Colour a label map, (H, W) to (H, W, 3); ignored pixels are white."""
    painted = np.ones((*labels.shape, 3))
    for label in np.unique(labels):
        if label != IGNORED:
            painted[labels == label] = _colour(int(label))
    return painted


def _colour(label: int) -> tuple[float, float, float]:
    red, green, blue, _ = _COLOURS(label % 20)
    return red, green, blue


def _legend(figure: Figure, predictions: Sequence[Prediction]) -> None:
    classes = predictions[0].classes
    if classes:
        patches = [Patch(color=_colour(index), label=name) for index, name in enumerate(classes)]
        if isinstance(predictions[0].truth, np.ndarray):
            patches.append(Patch(facecolor="white", edgecolor="grey", label="(not counted)"))
        columns = min(8, len(predictions) + 2)
        figure.legend(handles=patches, loc="outside lower center", ncols=columns, fontsize=7, frameon=False)
