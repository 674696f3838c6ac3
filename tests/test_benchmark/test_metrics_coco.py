"""COCO AP through the metric's own path, against the scores that the COCO API's authors print."""

import copy
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as mask_api

from benchmark.metrics.coco import CocoAP, encode
from pretrain.errors import DensebenchError

torch.set_num_threads(1)
FIXTURES = Path(__file__).parents[1] / "fixtures" / "evaluators"


def load(name):
    return json.loads(gzip.decompress((FIXTURES / f"{name}.json.gz").read_bytes()))


TRUTH = load("coco_instances_val2014_100")
RESULTS = {kind: load(f"coco_fake{kind}100_results") for kind in ("bbox", "segm")}
EXPECTED = json.loads((FIXTURES / "coco_expected.json").read_text())
CLASSES = sorted(category["name"] for category in TRUTH["categories"])  # not the order of the ids
LABELS = {category["id"]: CLASSES.index(category["name"]) for category in TRUTH["categories"]}


@pytest.fixture(scope="module")
def ann_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_text(json.dumps(TRUTH))
    return str(path)


def samples(kind, shift=0.0, labels=LABELS):
    """The published results as mmdet's data samples, one for each of the 100 images."""
    by_image = {image["id"]: [] for image in TRUTH["images"]}
    for result in RESULTS[kind]:
        by_image[result["image_id"]].append(result)
    for image, results in by_image.items():
        corners = [r["bbox"] if "bbox" in r else mask_api.toBbox(r["segmentation"]).tolist() for r in results]
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in corners], dtype=torch.float64)
        predicted = {
            "bboxes": boxes.reshape(-1, 4) + shift,
            "scores": torch.tensor([r["score"] for r in results], dtype=torch.float64),
            "labels": torch.tensor([labels[r["category_id"]] for r in results], dtype=torch.long),
        }
        if kind == "segm":
            masks = [mask_api.decode(r["segmentation"]).astype(bool) for r in results]
            shape = next((i["height"], i["width"]) for i in TRUTH["images"] if i["id"] == image)
            predicted["masks"] = torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, *shape).bool()
        yield {"img_id": image, "pred_instances": predicted}


def measure(ann_file, kind, batch, classes=CLASSES):
    metric = CocoAP(ann_file, kind, classes)
    for sample in batch:
        metric.process(None, [sample])
    return metric.evaluate(len(metric.results))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_published_scores(ann_file, kind, capsys):
    measured = measure(ann_file, kind, samples(kind))
    for key, value in EXPECTED["published_3_decimals"][kind].items():
        assert round(measured[f"{kind}_{key}"] / 100, 3) == value
    for key, value in EXPECTED["computed_6_decimals"][kind].items():
        assert measured[f"{kind}_{key}"] / 100 == pytest.approx(value, abs=5e-7)
        assert measured[f"{kind}_{key}"] != round(measured[f"{kind}_{key}"], 3)
    assert capsys.readouterr().out == ""


def test_order_of_images_does_not_matter(ann_file):
    batch = list(samples("bbox"))
    assert measure(ann_file, "bbox", batch[::-1]) == measure(ann_file, "bbox", batch)


def test_shifted_boxes_and_shuffled_labels_fail(ann_file):
    right = EXPECTED["computed_6_decimals"]["bbox"]["AP"] * 100
    assert measure(ann_file, "bbox", samples("bbox", shift=15.0))["bbox_AP"] < 0.7 * right
    rotated = {category: (label + 1) % 80 for category, label in LABELS.items()}
    assert measure(ann_file, "bbox", samples("bbox", labels=rotated))["bbox_AP"] < 0.1 * right


def test_labels_in_the_order_of_ids_would_fail(ann_file):
    """A metric that took label + 1 for the category's id would give the wrong number here."""
    by_position = {category["id"]: i for i, category in enumerate(TRUTH["categories"])}
    assert measure(ann_file, "bbox", samples("bbox", labels=by_position))["bbox_AP"] < 10


def test_ground_truth_as_prediction_is_perfect(ann_file):
    by_image = {image["id"]: [] for image in TRUTH["images"]}
    for annotation in TRUTH["annotations"]:
        if not annotation["iscrowd"]:
            by_image[annotation["image_id"]].append(annotation)
    batch = []
    for image, objects in by_image.items():
        corners = [(x, y, x + w, y + h) for x, y, w, h in (o["bbox"] for o in objects)]
        predicted = {
            "bboxes": torch.tensor(corners, dtype=torch.float64).reshape(-1, 4),
            "scores": torch.ones(len(objects)),
            "labels": torch.tensor([LABELS[o["category_id"]] for o in objects], dtype=torch.long),
        }
        batch.append({"img_id": image, "pred_instances": predicted})
    assert measure(ann_file, "bbox", batch)["bbox_AP"] == pytest.approx(100)


def test_bounded_evaluation_counts_the_images_seen(ann_file, tmp_path):
    batch = list(samples("bbox"))[:20]
    seen = {sample["img_id"] for sample in batch}
    bounded = copy.deepcopy(TRUTH)
    bounded["images"] = [image for image in TRUTH["images"] if image["id"] in seen]
    bounded["annotations"] = [a for a in TRUTH["annotations"] if a["image_id"] in seen]
    path = tmp_path / "bounded.json"
    path.write_text(json.dumps(bounded))
    measured = measure(ann_file, "bbox", batch)
    assert measured == measure(str(path), "bbox", batch)
    emptied = [{**s, "pred_instances": {k: v[:0] for k, v in s["pred_instances"].items()}} for s in samples("bbox")]
    assert measured != measure(ann_file, "bbox", batch + emptied[20:])


def test_no_detection_at_all_is_zero(ann_file):
    nothing = {"bboxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0)}
    sample = {
        "img_id": TRUTH["images"][0]["id"],
        "pred_instances": {**nothing, "masks": torch.zeros(0, 5, 5)},
    }
    measured = measure(ann_file, ("bbox", "segm"), [sample])
    assert set(measured.values()) == {0.0}
    assert set(measured) == {f"{kind}_{key}" for kind in ("bbox", "segm") for key in ("AP", "AP50", "AP75")}


def test_objects_that_do_not_say_whether_they_are_crowds_are_none(ann_file, tmp_path):
    bare = copy.deepcopy(TRUTH)
    for annotation in bare["annotations"]:
        if not annotation["iscrowd"]:
            del annotation["iscrowd"]
    path = tmp_path / "bare.json"
    path.write_text(json.dumps(bare))
    batch = list(samples("bbox"))
    assert measure(str(path), "bbox", batch) == measure(ann_file, "bbox", batch)


def test_bad_input_is_named(ann_file, tmp_path):
    with pytest.raises(DensebenchError, match="does not exist"):
        CocoAP(str(tmp_path / "nowhere.json"))
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [')
    with pytest.raises(DensebenchError, match=r"broken\.json is not a COCO"):
        CocoAP(str(broken))
    with pytest.raises(DensebenchError, match="'unicorn' is not a category"):
        measure(ann_file, "bbox", list(samples("bbox"))[:1], ["unicorn"])
    stranger = {**next(samples("bbox")), "img_id": 7}
    with pytest.raises(DensebenchError, match=r"image 7 .* not in"):
        measure(ann_file, "bbox", [stranger])


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_masks_survive_their_encoding(mask):
    encoded = encode(torch.from_numpy(mask))
    assert (mask_api.decode(encoded) == mask).all()
    assert mask_api.area(encoded) == mask.sum()
    assert encode(encoded) is encoded


@given(st.data())
def test_mask_overlap_equals_counting(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    one, other = data.draw(arrays(bool, shape)), data.draw(arrays(bool, shape))
    union = (one | other).sum()
    measured = float(mask_api.iou([encode(one)], [encode(other)], [0])[0, 0])
    assert measured == pytest.approx((one & other).sum() / union if union else 0.0)
