import cv2
import numpy as np
import pytest

from benchmark.report.sheet import CELL, MARGIN, sheet
from pretrain.data import scenes
from pretrain.errors import DensebenchError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("scenes") / "root", 8, 1, size=64, workers=1)


def test_the_sheet_shows_six_pictures_of_each_scene(root, tmp_path):
    picture = cv2.imread(str(sheet(root, tmp_path / "new" / "sheet.png", count=2)))
    assert picture.shape == (MARGIN + 2 * (CELL + 8), 6 * (CELL + 8), 3)
    rows = [picture[MARGIN + k * (CELL + 8) :][: CELL + 8].astype(float) for k in range(2)]
    for row in rows:
        cells = np.split(row, 6, axis=1)
        assert all(np.abs(cell - cells[0]).mean() > 1 for cell in cells[1:])
    assert np.abs(rows[0] - rows[1]).mean() > 5


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DensebenchError, match=r"densebench\.json is missing"):
        sheet(tmp_path, tmp_path / "sheet.png")
