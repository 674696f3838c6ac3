"""Regions: how they are found, kept, and cut out with their views."""

import json
import pickle
import sqlite3

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

from pretrain.data.images import Images, find
from pretrain.errors import DensebenchError, UsageError
from pretrain.masks.felzenszwalb import felzenszwalb
from pretrain.masks.grid import grid
from pretrain.masks.human import Human
from pretrain.masks.make import Options, make
from pretrain.masks.planes import from_masks
from pretrain.masks.proposals import Proposals
from pretrain.masks.store import Store
from pretrain.method import Sample
from pretrain.train import pretrain
from pretrain.views.regions import WHOLE, RegionViews, crop_planes, majority
from pretrain.views.sample import View, twice

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
        from pathlib import Path

        Human([tmp_path])(Path("42.jpg"), IMAGE[:, :20])
    (tmp_path / "train" / "42.mat").write_bytes(b"MATLAB 5.0 MAT-file, and then nothing")
    with pytest.raises(DensebenchError, match=r"42\.mat is not a segmentation of BSDS"):
        Human([tmp_path])(tmp_path / "42.jpg", IMAGE)


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


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "some photographs"
    folder.mkdir()
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((60, 40)).save(folder / f"{number}.png")
    return folder


def test_the_store_is_completed_and_holds_what_was_found(photographs, tmp_path):
    out, options = tmp_path / "fh.masks", Options(scale=100.0, min_size=20)
    first = photographs / "0.png"
    aside = tmp_path / "0.png"
    first.rename(aside)
    assert make(str(photographs), "fh", out, options, workers=1) == (39, 0)
    aside.rename(first)
    seen = []
    assert make(str(photographs), "fh", out, options, 2, lambda done, total: seen.append((done, total))) == (40, 0)
    assert seen == [(40, 40)]  # one image was left to do
    store = pickle.loads(pickle.dumps(Store(out)))
    for number in (0, 7):
        image = photographs / f"{number}.png"
        expected = felzenszwalb(np.asarray(Image.open(image)), 100.0, 0.8, 20)
        assert np.array_equal(store.read(image), expected)
    with pytest.raises(UsageError, match="holds other regions: kind=fh, min_size=20"):
        make(str(photographs), "fh", out, Options(), workers=1)
    with pytest.raises(DensebenchError, match="no regions of"):
        store.read(tmp_path / "other.png")
    with pytest.raises(UsageError, match="Did you mean 'grid'"):
        make(str(photographs), "grids", out, options)
    with pytest.raises(UsageError, match="--source"):
        make(str(photographs), "human", out, options)
    out.write_bytes(out.read_bytes()[:5000])
    with pytest.raises(DensebenchError, match="damaged"):
        Store(out).read(photographs / "39.png")
    out.unlink()
    with sqlite3.connect(out) as foreign:
        foreign.execute("CREATE TABLE settings (value TEXT)")
    with pytest.raises(DensebenchError, match="not a file of regions"):
        Store(out)
    out.write_text("no database")
    with pytest.raises(DensebenchError, match="not a file of regions"):
        Store(out)


def test_images_without_regions_are_counted(photographs, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    drawn = np.ones((40, 60), np.uint8)
    drawn[:2] = 255  # where nobody said what there is
    Image.fromarray(drawn).save(labels / "3.png")
    others = tmp_path / "other labels"
    others.mkdir()
    for number in (3, 5):
        Image.fromarray(np.full((40, 60), 2, np.uint8)).save(others / f"{number}.png")
    for sources, without in (((labels,), 39), ((labels, others), 38)):
        out = tmp_path / f"{len(sources)}.masks"
        assert make(str(photographs), "human", out, Options(sources=sources), workers=1) == (40, without)
    assert [Store(out).read(photographs / f"{number}.png").max() for number in (3, 5)] == [1, 2]
    assert json.loads(json.dumps(Store(out).settings))["source"] == "labels:other labels"
    (tmp_path / "1.masks").rename(tmp_path / "human.masks")
    store = Store(tmp_path / "human.masks")
    assert store.read(photographs / "4.png") is None
    assert np.array_equal(store.read(photographs / "3.png"), np.where(drawn == 255, 0, 1)[None])


def test_regions_of_another_size_than_the_image_are_refused(photographs, tmp_path):
    make(str(photographs), "grid", tmp_path / "grid.masks", Options(), workers=1)
    Image.new("RGB", (50, 40)).save(photographs / "3.png")
    source = find(str(photographs))
    images = Images(source, regions=Store(tmp_path / "grid.masks"))
    with pytest.raises(DensebenchError, match=r"3\.png has another size than its regions"):
        images[[path.name for path in source.paths].index("3.png")]


def naive_majority(planes, cells):
    side = planes.shape[1] // cells
    blocks = planes.reshape(len(planes), cells, side, cells, side).swapaxes(2, 3).reshape(len(planes), cells, cells, -1)
    return np.apply_along_axis(lambda ids: np.bincount(ids).argmax(), 3, blocks)


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint16, (2, 6, 6), elements=st.integers(0, 3)))
def test_a_cell_belongs_to_the_region_of_most_of_its_pixels(planes):
    assert np.array_equal(majority(planes, 2), naive_majority(planes, 2))
    assert np.array_equal(majority(planes, 6), planes)


@pytest.mark.parametrize("seed", range(6))
def test_regions_go_through_the_crop_and_the_mirror_of_their_view(seed):
    """An image painted with its regions' colours: most of what a view shows in a region's cells has its colour."""
    ids = grid(np.zeros((120, 160, 3), np.uint8), 4)
    painted = np.repeat((ids[0] * 15).astype(np.uint8)[:, :, None], 3, axis=2)
    plain = View(128, (0.3, 1.0), jitter_probability=0, grey_probability=0, blur_probability=0)
    augment = RegionViews(twice(plain), stride=8, count=16)
    views = augment(Sample(painted, 0, masks=ids), np.random.default_rng(seed))
    for image, masks, regions in zip(views.images, views.masks, views.regions, strict=True):
        assert masks.shape == (16, 16, 16) and regions.shape == (16,)
        level = image[0].numpy() * 58.395 + 123.675
        right = []
        for mask, region in zip(masks.numpy(), regions.tolist(), strict=True):
            inside = level[mask.repeat(8, axis=0).repeat(8, axis=1)]
            right.extend(np.abs(inside - 15 * region) < 2)
        assert np.mean(right) > 0.75
        assert len(set(regions.tolist())) > 2


def test_an_image_without_regions_is_one_region():
    augment = RegionViews(twice(View(64)), count=4)
    for masks in (None, np.zeros((1, 20, 30), np.uint16)):
        views = augment(Sample(IMAGE, 0, masks=masks), np.random.default_rng(0))
        assert all(bool(mask.all()) for mask in views.masks)
        assert views.regions[0].tolist() == [WHOLE] * 4


def test_crops_of_planes_take_the_nearest_pixel():
    planes = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    assert np.array_equal(crop_planes(planes, (0, 0, 4, 3), 12, False)[0, ::4, ::3], planes[0])
    assert np.array_equal(crop_planes(planes, (1, 0, 3, 2), 2, True)[0], [[2, 1], [6, 5]])


def test_a_method_of_regions_takes_a_whole_file_of_them(photographs, tmp_path):
    def run(method, regions):
        tiny = {"iterations": "1", "batch_size": "4", "image_size": "64", "hidden": "16"}
        out = tmp_path / f"out {method}"
        return pretrain(method, "resnet18", photographs, "scenes", out, overrides=tiny, workers=0, regions=regions)

    file = tmp_path / "grid.masks"
    with pytest.raises(UsageError, match="needs the images' regions"):
        run("detcon_b", None)
    with pytest.raises(DensebenchError, match="no file of regions"):
        run("detcon_b", file)
    text = tmp_path / "text.txt"
    text.write_text("hello")
    with pytest.raises(DensebenchError, match=r"is not a file of regions, .*Name a file that `densebench masks`"):
        run("detcon_b", text)
    first = photographs / "0.png"
    first.rename(tmp_path / "0.png")
    make(str(photographs), "grid", file, Options(cells=3), workers=1)
    (tmp_path / "0.png").rename(first)
    with pytest.raises(DensebenchError, match="no regions of 1 of the 40 images"):
        run("detcon_b", file)
    make(str(photographs), "grid", file, Options(cells=3), workers=1)
    with pytest.raises(UsageError, match="byol reads no regions"):
        run("byol", file)
    assert run("detcon_b", file).is_file()
    assert "0 of 40 images have no region" in "".join(
        log.read_text() for log in (tmp_path / "out detcon_b").rglob("*.log")
    )
    other = tmp_path / "other.masks"
    make(str(photographs), "grid", other, Options(cells=5), workers=1)
    with pytest.raises(UsageError, match="holds another pretraining: regions is"):
        run("detcon_b", other)


def test_mends_are_those_that_masks_have(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DensebenchError, match=r"a\.jpg cannot be read as an image") as caught:
        make(str(tmp_path / "images"), "grid", tmp_path / "masks", Options())
    assert "--skip-unreadable" not in caught.value.mend
    (tmp_path / "notes.txt").write_text("some")
    with pytest.raises(DensebenchError, match=r"notes\.txt is a file, not a folder"):
        make(str(tmp_path / "images"), "grid", tmp_path / "notes.txt" / "masks", Options())
