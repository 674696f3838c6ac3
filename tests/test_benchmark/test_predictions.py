"""Pictures of predictions: three kinds, and only as many objects as there truly are."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from benchmark.predict import Objects, Prediction, _masks, predict
from benchmark.report.predictions import _painted, draw
from pretrain.errors import DensebenchError

IMAGE = np.full((40, 48, 3), 90, dtype=np.uint8)


def objects(count, scores=None):
    boxes = np.array([[4.0 * i, 4.0, 4.0 * i + 9, 20.0] for i in range(count)]).reshape(count, 4)
    masks = np.zeros((count, 40, 48), dtype=bool)
    masks[:, 4:20, 4:12] = True
    return Objects(boxes, np.arange(count), scores, masks)


@pytest.mark.parametrize(
    "prediction",
    [
        Prediction(IMAGE, np.eye(40, 48, dtype=int), np.full((40, 48), 255), ("ground", "log")),
        Prediction(IMAGE, np.linspace(0, 9, 1920).reshape(40, 48), np.ones((40, 48)), ()),
        Prediction(IMAGE, np.zeros((40, 48)), np.ones((40, 48)), ()),
        Prediction(IMAGE, objects(2), objects(0, np.zeros(0)), ("log", "urn")),
    ],
)
def test_every_kind_is_drawn(prediction, tmp_path):
    path = tmp_path / "pictures" / "a task.png"
    draw([prediction, prediction], "a title", path)
    with Image.open(path) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 300


def test_as_many_objects_as_there_are_the_best_first(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes, "text", lambda self, x, y, text, **style: drawn.append(text))
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    draw([Prediction(IMAGE, objects(2), objects(4, scores), tuple("abcd"))], "", tmp_path / "a.png")
    assert drawn == ["0.90", "0.70"]


def test_ignored_pixels_are_white_and_classes_are_not():
    painted = _painted(np.array([[0, 255], [1, 19]]))
    assert painted[0, 1].tolist() == [1, 1, 1]
    assert len({tuple(pixel) for pixel in painted.reshape(-1, 3).tolist()}) == 4


def test_annotated_masks_are_read_in_every_form():
    square = [[2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0]]
    runs = {"size": [8, 10], "counts": [0, 8, 72]}  # the first column
    masks = _masks([{"mask": square}, {"mask": runs}, {"mask": square, "ignore_flag": 1}], (8, 10))
    assert masks.shape == (2, 8, 10)
    assert masks[0].sum() == 16
    assert masks[1][:, 0].all()
    assert not masks[1][:, 1:].any()
    assert _masks([{"bbox": [0, 0, 1, 1]}], (8, 10)) is None


def test_a_run_without_its_model_is_told(tmp_path):
    with pytest.raises(DensebenchError, match="keep-model"):
        predict(tmp_path, 2)
