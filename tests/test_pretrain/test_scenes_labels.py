import contextlib
import io
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pretrain.data import scenes
from pretrain.data.scenes import coco, voc
from pretrain.data.scenes.labels import border, outline, runs, tight_box, voc_classes
from pretrain.data.scenes.render import CLUTTER, TINY, render

TRAIN, VAL, SIZE = 12, 3, 96
MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("scenes") / "root", TRAIN, VAL, size=SIZE, workers=1)


@pytest.fixture(scope="module")
def instances(root):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(root / "coco/annotations/instances_train2017.json")


@pytest.fixture(scope="module")
def crowded():
    found = (render(0, "train", index, SIZE) for index in range(200))
    return next(scene for scene in found if sum(thing.crowd for thing in scene.things) > 1)


def image_ids(instances):
    return sorted(instances.imgs)


def annotations(instances, image):
    return instances.loadAnns(instances.getAnnIds([image]))


def corners(item):
    return tuple(int(item.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax"))


def voc_home(root, index):
    year, name, _, segmentation = voc.place("train", index)
    return root / "VOCdevkit" / f"VOC{year}", name, segmentation


def test_coco_boxes_and_areas_are_those_of_the_masks(instances):
    for annotation in instances.anns.values():
        mask = instances.annToMask(annotation)
        y, x = np.nonzero(mask)
        assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert annotation["area"] == mask.sum() > 0


def test_coco_masks_do_not_overlap_and_come_as_polygons_and_runs(instances):
    for image in image_ids(instances):
        masks = [instances.annToMask(annotation) for annotation in annotations(instances, image)]
        assert len(masks) >= 1 and np.sum(masks, axis=0).max() == 1
    kinds = Counter(type(annotation["segmentation"]) for annotation in instances.anns.values())
    assert kinds[list] > kinds[dict] > 0


def test_category_ids_have_gaps_and_name_the_classes(instances):
    categories = instances.loadCats(instances.getCatIds())
    assert [category["name"] for category in categories] == list(scenes.CLASSES)
    assert max(instances.getCatIds()) > len(scenes.CLASSES)


def test_voc_boxes_are_the_coco_boxes_counted_from_one(root, instances):
    for index, image in enumerate(image_ids(instances)):
        home, name, _ = voc_home(root, index)
        tree = ElementTree.parse(home / "Annotations" / f"{name}.xml")
        found = Counter(
            (
                item.findtext("name"),
                *(int(item.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax")),
            )
            for item in tree.iter("object")
        )
        expected = Counter()
        for annotation in annotations(instances, image):
            x, y, width, height = annotation["bbox"]
            label = instances.cats[annotation["category_id"]]["name"]
            expected[label, x + 1, y + 1, x + width, y + height] += not annotation["iscrowd"]
        assert +expected <= found
        assert int(tree.findtext("size/width")) == SIZE


def test_voc_segmentation_is_the_coco_masks_classes(root, instances):
    seen = 0
    for index, image in enumerate(image_ids(instances)):
        home, name, segmentation = voc_home(root, index)
        if not segmentation:
            continue
        plain = np.array(Image.open(home / "SegmentationClassAug" / f"{name}.png"))
        seamed = np.array(Image.open(home / "SegmentationClass" / f"{name}.png"))
        expected = np.zeros_like(plain)
        for annotation in annotations(instances, image):
            label = coco.COCO_IDS.index(annotation["category_id"]) + 1
            expected[instances.annToMask(annotation) > 0] = label
        known = plain != 255
        assert (plain[known] == expected[known]).all() and known.mean() > 0.6
        assert (seamed[seamed != 255] == expected[seamed != 255]).all()
        assert (seamed == 255).sum() > 50
        assert segmentation == "aug" or (plain == seamed).all()
        assert segmentation != "aug" or (expected[~known] == 0).all()
        seen += 1
    assert seen == 9


def test_cityscapes_labels_agree_with_coco_and_name_two_kinds_of_stuff(root, instances):
    streets = sorted((root / "cityscapes/gtFine/train").glob("*/*_gtFine_labelTrainIds.png"))
    images = sorted((root / "cityscapes/leftImg8bit/train").glob("*/*_leftImg8bit.png"))
    assert [path.name.split("_gtFine")[0] for path in streets] == [p.name.split("_left")[0] for p in images]
    stuff = Counter()
    for path, image in zip(streets, image_ids(instances), strict=True):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        objects = np.zeros_like(labels, bool)
        for annotation in annotations(instances, image):
            mask = instances.annToMask(annotation) > 0
            objects |= mask
            inside = labels[mask & (labels != 255)]
            assert (inside == coco.COCO_IDS.index(annotation["category_id"]) + 2).all()
        assert set(np.unique(labels[~objects])) <= {0, 1, 255}
        rows = np.arange(SIZE)[:, None].repeat(SIZE, 1)
        assert rows[labels == 0].mean() > rows[labels == 1].mean()
        stuff.update(labels.ravel().tolist())
    assert 0.3 < (stuff[0] + stuff[1]) / sum(stuff.values()) < 0.95 and stuff[255] > 0


def test_the_street_photograph_is_the_coco_photograph(root):
    street = sorted((root / "cityscapes/leftImg8bit/train").glob("*/*.png"))
    for path, photo in zip(street, sorted((root / "coco/train2017").iterdir()), strict=True):
        difference = cv2.absdiff(cv2.imread(str(path)), cv2.imread(str(photo)))
        assert difference.mean() < 6


def test_objects_stand_in_front_of_what_is_seen_above_them(root, instances):
    depths = sorted((root / "nyu/annotations/train").iterdir())
    nearer, unknown = [], []
    for path, image in zip(depths, image_ids(instances), strict=True):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(float) / 1000
        unknown.append((depth == 0).mean())
        assert depth.max() <= 10 and 0 < unknown[-1] < 0.9
        masks = [instances.annToMask(annotation) > 0 for annotation in annotations(instances, image)]
        taken = np.any(masks, axis=0)
        for mask in masks:
            edge = mask[1:] & ~taken[:-1] & (depth[1:] > 0) & (depth[:-1] > 0)
            if edge.sum() > 3:
                nearer.append(np.median((depth[:-1] - depth[1:])[edge]))
    assert 0.02 < np.mean(unknown) < 0.5
    assert len(nearer) > 20
    assert np.mean(np.array(nearer) > 0.05) > 0.85


def test_the_ground_recedes(root):
    scene = render(0, "val", 0, SIZE)
    columns = np.where(scene.ground & (scene.instance == 0), scene.depth, np.nan)
    steps = np.diff(columns, axis=0)
    assert (steps[np.isfinite(steps)] < 0).mean() > 0.99


def test_depth_is_16_bit_millimetres(root):
    depth = cv2.imread(str(next((root / "nyu/annotations/test").iterdir())), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (SIZE, SIZE)
    assert 1000 < np.median(depth[depth > 0]) < 10000


def test_every_listed_file_is_there_and_readable(root):
    for lists in (root / "VOCdevkit").glob("*/ImageSets/*"):
        home = lists.parent.parent
        trainval = set((lists / "trainval.txt").read_text().split())
        assert trainval == {n for s in ("train", "val") for n in (lists / f"{s}.txt").read_text().split()}
        for path in lists.glob("*.txt"):
            for name in path.read_text().split():
                assert cv2.imread(str(home / "JPEGImages" / f"{name}.jpg")).shape == (SIZE, SIZE, 3)
                assert ElementTree.parse(home / "Annotations" / f"{name}.xml").findall("object")
                if lists.name == "Segmentation":
                    picture = Image.open(home / "SegmentationClass" / f"{name}.png")
                    assert picture.mode == "P" and picture.getpalette()[3:6] == [128, 0, 0]
    for split in ("train", "val"):
        content = json.loads((root / f"coco/annotations/instances_{split}2017.json").read_text())
        for image in content["images"]:
            assert (root / "coco" / f"{split}2017" / image["file_name"]).exists()


def test_a_group_is_one_crowd_region_and_difficult_in_voc(crowded, tmp_path):
    found = coco.annotate("train", 0, crowded)
    regions = [annotation for annotation in found if annotation["iscrowd"]]
    assert len(regions) == 1 and isinstance(regions[0]["segmentation"]["counts"], list)
    members = [number for number, thing in enumerate(crowded.things, 1) if thing.crowd]
    packed = coco_mask.frPyObjects(regions[0]["segmentation"], SIZE, SIZE)
    assert (coco_mask.decode(packed) == np.isin(crowded.instance, members)).all()
    for folder in voc.folders():
        (tmp_path / folder).mkdir(parents=True)
    voc.write_scene(tmp_path, "train", 1, crowded)
    xml = ElementTree.parse(tmp_path / "VOCdevkit/VOC2012/Annotations/2008_000001.xml")
    difficult = [item.findtext("difficult") == "1" for item in xml.iter("object")]
    assert len(difficult) == len(crowded.things)
    assert all(difficult[number - 1] for number in members)


def test_flags_say_what_is_cut_or_hidden(root):
    flags = Counter()
    for path in (root / "VOCdevkit").glob("*/Annotations/*.xml"):
        for item in ElementTree.parse(path).iter("object"):
            x1, y1, x2, y2 = corners(item)
            at_edge = x1 == 1 or y1 == 1 or SIZE in (x2, y2)
            assert item.findtext("truncated") == str(int(at_edge))
            flags.update(k for k in ("truncated", "occluded", "difficult") if item.findtext(k) == "1")
            flags["all"] += 1
    assert all(0 < flags[kind] < 0.6 * flags["all"] for kind in ("truncated", "occluded", "difficult"))


def test_too_little_of_an_object_is_void_and_clutter_is_background():
    seen = set()
    for index in range(40):
        scene = render(0, "train", index, SIZE)
        labels = voc_classes(scene)
        assert (labels[scene.instance == TINY] == 255).all()
        assert (labels[scene.instance == CLUTTER] == 0).all()
        seen |= {TINY, CLUTTER} & set(np.unique(scene.instance).tolist())
    assert seen == {TINY, CLUTTER}


def test_the_seam_follows_the_outline():
    instance = np.zeros((20, 20), np.uint8)
    instance[5:15, 5:15] = 1
    instance[0:3, 0:3] = CLUTTER
    seam = border(instance)
    assert seam[5, 5:15].all() and seam[4, 5:15].all()
    assert not seam[7:13, 7:13].any() and not seam[:3, :3].any()


@settings(max_examples=300, deadline=None)
@given(MASKS)
def test_runs_decode_to_the_mask(mask):
    packed = coco_mask.frPyObjects({"size": list(mask.shape), "counts": runs(mask)}, *mask.shape)
    assert (coco_mask.decode(packed) == mask).all()
    assert all(run > 0 for run in runs(mask)[1:])


@settings(max_examples=300, deadline=None)
@given(MASKS.filter(np.any))
def test_an_outline_rasterises_to_the_mask_and_is_found_whenever_one_polygon_can(mask):
    polygon = outline(mask, tight_box(mask))
    parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    padded = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    outsides, _ = cv2.connectedComponents(padded, connectivity=4)
    simple = parts == 2 and outsides == 2
    assert (polygon is not None) == simple
    if polygon is not None:
        packed = coco_mask.frPyObjects([polygon], *mask.shape)
        assert (coco_mask.decode(packed)[..., 0] == mask).all()
        assert len(polygon) >= 8


@settings(max_examples=100, deadline=None)
@given(MASKS.filter(np.any))
def test_the_tight_box_holds_the_mask_and_nothing_more(mask):
    box = tight_box(mask)
    inside = mask[box.top : box.bottom, box.left : box.right]
    assert inside.sum() == mask.sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
