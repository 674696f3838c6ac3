"""Regions: how they are found."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.io import savemat
from skimage.data import astronaut
from skimage.segmentation import felzenszwalb as peer

from pretrain.errors import DensebenchError
from pretrain.masks.felzenszwalb import felzenszwalb
from pretrain.masks.grid import grid
from pretrain.masks.human import Human
from pretrain.masks.lookup import entry_of
from pretrain.masks.planes import from_masks
from pretrain.masks.proposals import Proposals

IMAGE = np.zeros((20, 30, 3), dtype=np.uint8)


def overlap(found, expected):
    """The mean over the expected regions of the best intersection over union."""
    best = []
    for number in np.unique(expected):
        here = expected == number
        best.append(
            max((here & (found == one)).sum() / (here | (found == one)).sum() for one in np.unique(found[here]))
        )
    return np.mean(best)


@pytest.mark.parametrize(("scale", "min_size"), [(1000.0, 1000), (300.0, 100), (100.0, 20)])
def test_felzenszwalbs_regions_are_scikit_images(scale, min_size):
    image = astronaut()[:320, :400]
    expected = peer(image, scale=scale, sigma=0.8, min_size=min_size)
    found = felzenszwalb(image, scale, 0.8, min_size)[0]
    assert overlap(found, expected) > 0.95
    assert overlap(expected, found) > 0.95
    assert min(np.bincount(found.ravel())[1:]) >= min_size
    other = felzenszwalb(image, scale / 30, 0.8, min_size // 10)[0]
    assert overlap(other, expected) < 0.9  # another scale gives other regions


def test_felzenszwalb_of_one_colour_or_few_pixels_is_one_region():
    for image in (np.full((40, 50, 3), 77, np.uint8), astronaut()[:1, :1], astronaut()[:1, :9], astronaut()[:5, :5]):
        assert np.array_equal(felzenszwalb(image), np.ones((1, *image.shape[:2]), np.uint16))


def test_the_grid_has_equal_cells():
    found = grid(IMAGE, 5)[0]
    assert found.shape == (20, 30)
    assert np.array_equal(np.bincount(found.ravel())[1:], np.full(25, 24))
    assert (found[0, 0], found[0, -1], found[-1, -1]) == (1, 5, 25)


@settings(max_examples=60, deadline=None)
@given(st.lists(arrays.arrays(bool, (6, 7)), max_size=6))
def test_overlapping_masks_come_back_from_their_planes(masks):
    planes = from_masks(masks)
    wanted = {number: mask for number, mask in enumerate(masks, start=1) if mask.any()}
    if not wanted:
        assert planes is None
        return
    assert set(np.unique(planes)) - {0} == set(wanted)
    for number, mask in wanted.items():
        assert np.array_equal((planes == number).any(axis=0), mask)


def test_people_drew_on_bsds(tmp_path):
    first, second = np.ones((20, 30), np.uint16), np.repeat([[1], [2]], 10, axis=0) * np.ones((1, 30), np.uint16)
    cells = np.empty((1, 2), dtype=object)
    for number, segmentation in enumerate((first, second.astype(np.uint16))):
        cells[0, number] = {"Segmentation": segmentation, "Boundaries": segmentation}
    (tmp_path / "train").mkdir()
    savemat(tmp_path / "train" / "42.mat", {"groundTruth": cells})
    planes = Human([tmp_path])(tmp_path / "elsewhere" / "42.jpg", IMAGE)
    assert planes.shape == (2, 20, 30)
    assert set(np.unique(planes)) - {0} == {1, 2, 3}  # two annotators' regions are different regions
    assert np.array_equal(planes[1] == 3, second == 2)
    assert Human([tmp_path])(tmp_path / "43.jpg", IMAGE) is None
    with pytest.raises(DensebenchError, match=r"42\.mat has 20x30 pixels, but 42\.jpg has 20x20"):
        Human([tmp_path])(Path("42.jpg"), IMAGE[:, :20])
    (tmp_path / "train" / "42.mat").write_bytes(b"MATLAB 5.0 MAT-file, and then nothing")
    with pytest.raises(DensebenchError, match=r"42\.mat is not a segmentation of BSDS"):
        Human([tmp_path])(tmp_path / "42.jpg", IMAGE)


def test_annotations_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for label, folder in enumerate(("cats", "dogs"), start=1):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((20, 30), label, np.uint8)).save(tmp_path / folder / "1.png")
    human = Human([tmp_path])
    assert [int(human(Path("train") / folder / "1.jpg", IMAGE).max()) for folder in ("cats", "dogs")] == [1, 2]
    with pytest.raises(DensebenchError, match=r"cats/1\.png and .*dogs/1\.png could both be the annotation of 1\.jpg"):
        human(Path("1.jpg"), IMAGE)


def test_annotations_state_as_many_folders_of_an_image_as_they_like():
    names = ("7.jpg", "a/7.jpg", "train/b/8.jpg")
    assert entry_of(Path("/data/train/a/7.jpg"), names) == "a/7.jpg"
    assert entry_of(Path("/data/train/b/7.jpg"), names) == "7.jpg"
    assert entry_of(Path("train/b/8.jpg"), names) == "train/b/8.jpg"
    assert entry_of(Path("/data/b/8.jpg"), names) is None and entry_of(Path("/data/17.jpg"), names) is None


def coco_file(folder, segmentations):
    annotations = [{"image_id": 7, "segmentation": one} for one in segmentations]
    tree = {"images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}], "annotations": annotations}
    file = folder / "instances.json"
    file.write_text(json.dumps(tree))
    return file


def test_people_drew_on_coco(tmp_path):
    square = np.zeros((20, 30), np.uint8)
    square[5:10, 5:15] = 1
    lengths = coco_mask.encode(np.asfortranarray(square))
    compressed = {"size": lengths["size"], "counts": lengths["counts"].decode()}
    plain = {"size": [20, 30], "counts": [0, 20, 580]}  # the first column
    polygon = [[20.0, 0.0, 30.0, 0.0, 30.0, 10.0, 20.0, 10.0]]
    human = Human([coco_file(tmp_path, [compressed, plain, polygon])])
    planes = human(tmp_path / "7.jpg", IMAGE)
    assert planes.shape == (1, 20, 30)
    assert np.array_equal(planes[0] == 1, square == 1)
    assert (planes[0, :, 0] == 2).all()
    assert (planes[0, :10, 20:] == 3).all()
    assert human(tmp_path / "8.jpg", IMAGE) is None
    for damaged, said in (
        ({"size": [20, 20], "counts": [0, 400]}, "a mask of 20x20, the image has 20x30"),
        ({"size": [20, 30], "counts": "!"}, "a damaged mask"),
        ([[1.0, 2.0, 3.0]], "a damaged mask"),
        (7, "a damaged mask"),
    ):
        with pytest.raises(DensebenchError, match=said):
            Human([coco_file(tmp_path, [damaged])])(tmp_path / "7.jpg", IMAGE)
    (tmp_path / "instances.json").write_text("[]")
    with pytest.raises(DensebenchError, match="not a COCO file"):
        Human([tmp_path / "instances.json"])


def test_the_best_proposals_are_kept(tmp_path):
    masks, scores = [], []
    for number in range(5):
        drawn = np.zeros((20, 30), np.uint8)
        drawn[:, number : number + 10] = 1
        lengths = coco_mask.encode(np.asfortranarray(drawn))
        masks.append({"size": lengths["size"], "counts": lengths["counts"].decode()})
        scores.append([0.1, 0.9, 0.5, 0.2, 0.3][number])
    file = tmp_path / "mcg.jsonl"
    entry = {"file_name": "a.jpg", "masks": masks, "scores": scores}
    file.write_text("\n" + json.dumps({"file_name": "b.jpg", "masks": []}) + "\n" + json.dumps(entry) + "\n")
    found = pickle.loads(pickle.dumps(Proposals(file, most=2)))(tmp_path / "a.jpg", IMAGE)
    assert found.shape == (2, 20, 30)  # they overlap
    assert np.array_equal((found == 1).any(0), np.isin(np.arange(30), range(1, 11))[None].repeat(20, 0))
    assert Proposals(file)(tmp_path / "b.jpg", IMAGE) is None
    with pytest.raises(DensebenchError, match="a mask of 20x30, the image has 20x20"):
        Proposals(file)(tmp_path / "a.jpg", IMAGE[:, :20])
    file.write_text('{"file_name": 3}\n')
    with pytest.raises(DensebenchError, match="line 1"):
        Proposals(file)
