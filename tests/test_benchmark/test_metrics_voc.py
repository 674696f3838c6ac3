"""VOC AP through the metric's own path: published cases, a naive loop, broken variants."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.voc import THRESHOLDS, VocAP
from pretrain.errors import DensebenchError

torch.set_num_threads(1)
CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "evaluators" / "voc_cases.json").read_text())
STYLES = {"eleven_point": "11points", "every_point": "area"}


def corners(rows):
    boxes = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)


def published(shift=0.0, swap=False, label=0):
    for name, image in CASES["images"].items():
        detected = corners([row[1:] for row in image["detections_score_xywh"]]) + shift
        truth = corners(image["truth_xywh"])
        scores = torch.tensor([row[0] for row in image["detections_score_xywh"]], dtype=torch.float64)
        if swap:
            detected, truth, scores = truth, detected, torch.linspace(0.1, 0.9, len(truth))
        yield sample(name, detected, scores, [label] * len(detected), truth, [0] * len(truth))


def sample(name, boxes, scores, labels, true_boxes, true_labels, hard_boxes=(), hard_labels=()):
    def instances(rows, names):
        return {
            "bboxes": torch.as_tensor(rows, dtype=torch.float64).reshape(-1, 4),
            "labels": torch.as_tensor(names, dtype=torch.long),
        }

    return {
        "img_id": name,
        "pred_instances": {
            **instances(boxes, labels),
            "scores": torch.as_tensor(scores, dtype=torch.float64),
        },
        "gt_instances": instances(true_boxes, true_labels),
        "ignored_instances": instances(hard_boxes, hard_labels),
    }


def measure(batch, style="11points", thresholds=THRESHOLDS, classes=("object", "other")):
    metric = VocAP(style, thresholds, classes)
    metric.process(None, list(batch))
    return metric.evaluate(len(metric.results))


@pytest.mark.parametrize("case", STYLES)
def test_published_cases(case):
    expected = {float(threshold): value for threshold, value in CASES[case].items()}
    measured = measure(published(), STYLES[case], sorted(expected))
    assert measured["AP50"] / 100 == pytest.approx(expected[0.5], abs=1e-10)
    assert measured["AP75"] / 100 == pytest.approx(expected[0.75], abs=1e-10)
    assert measured["AP"] / 100 == pytest.approx(np.mean(list(expected.values())), abs=1e-10)
    for threshold in (0.1, 0.3):
        three = measure(published(), STYLES[case], (threshold, 0.5, 0.75))
        alone = (3 * three["AP"] - three["AP50"] - three["AP75"]) / 100
        assert alone == pytest.approx(expected[threshold], abs=1e-10)


def test_broken_variants_fail():
    thresholds = (0.1, 0.3, 0.5, 0.75)
    right = measure(published(), "area", thresholds)["AP"]
    assert measure(published(shift=12.0), "area", thresholds)["AP"] != pytest.approx(right, rel=0.01)
    assert measure(published(shift=40.0), "area", thresholds)["AP"] < 0.5 * right
    assert measure(published(label=1), "area", thresholds)["AP"] == 0
    assert measure(published(swap=True), "area", thresholds)["AP"] != pytest.approx(right, rel=0.01)


def test_pixels_are_inclusive():
    """Two of three rows are 0.67 of a box (0.5 without the last pixel); four of five are 0.8 (0.75)."""
    two_thirds = sample("a", [[0, 0, 2, 1]], [0.9], [0], [[0, 0, 2, 2]], [0])
    four_fifths = sample("a", [[0, 0, 4, 3]], [0.9], [0], [[0, 0, 4, 4]], [0])
    exactly_half = sample("a", [[0, 0, 9, 4]], [0.9], [0], [[0, 0, 9, 9]], [0])
    assert measure([two_thirds])["AP50"] == pytest.approx(100)
    assert measure([four_fifths])["AP75"] == pytest.approx(100)
    assert measure([exactly_half])["AP50"] == 0


def test_difficult_objects_count_neither_way():
    box, hard = [[0, 0, 9, 9]], [[50, 50, 59, 59]]
    both = sample("a", box + hard, [0.5, 0.9], [0, 0], box, [0], hard, [0])
    assert measure([both])["AP"] == pytest.approx(100)
    easy = sample("a", box + hard, [0.5, 0.9], [0, 0], box, [0])
    assert measure([easy])["AP50"] == pytest.approx(50)
    missed = sample("a", box, [0.5], [0], box, [0], hard, [0])
    assert measure([missed])["AP"] == pytest.approx(100)


def test_a_second_detection_of_one_object_is_wrong():
    box = [[0, 0, 9, 9]]
    twice = sample("a", box + box, [0.9, 0.8], [0, 0], [*box, [50, 50, 59, 59]], [0, 0])
    assert measure([twice], "area")["AP50"] == pytest.approx(50)


def test_absent_classes_are_left_out_and_nothing_to_find_is_refused():
    box = [[0, 0, 9, 9]]
    stray = sample("a", box + box, [0.9, 0.8], [0, 1], box, [0])
    assert measure([stray])["AP"] == pytest.approx(100)
    with pytest.raises(DensebenchError, match="None of the 1 evaluated images"):
        measure([sample("a", box, [0.9], [0], [], [], box, [0])])


def naive_overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def naive_ap(images, label, threshold, style):
    """The development kit's loop, one detection at a time."""
    taken, total, entries = set(), 0, []
    for number, (detections, truths) in enumerate(images):
        total += sum(1 for _, name, hard in truths if name == label and not hard)
        entries += [(score, number, box) for box, score, name in detections if name == label]
    if total == 0:
        return None
    marks = []
    for _, number, box in sorted(entries, key=lambda entry: -entry[0]):
        best, chosen = 0.0, None
        for k, (truth, name, _) in enumerate(images[number][1]):
            if name == label and naive_overlap(box, truth) > best:
                best, chosen = naive_overlap(box, truth), k
        if chosen is None or best <= threshold:
            marks.append(0)
        elif not images[number][1][chosen][2]:
            marks.append(0 if (number, chosen) in taken else 1)
            taken.add((number, chosen))
    points = []
    for k in range(len(marks)):
        points.append((sum(marks[: k + 1]) / total, sum(marks[: k + 1]) / (k + 1)))
    if style == "11points":
        recalls = np.arange(0.0, 1.1, 0.1)
        return sum(max([p for r, p in points if r >= recall], default=0.0) for recall in recalls) / 11
    area, before = 0.0, 0.0
    for k, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[k:])
        before = recall
    return area


coordinate = st.integers(0, 12)
box = st.tuples(coordinate, coordinate, st.integers(1, 9), st.integers(1, 9)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
scene = st.lists(
    st.tuples(
        st.lists(st.tuples(box, st.integers(1, 10_000), st.integers(0, 1)), max_size=5),
        st.lists(st.tuples(box, st.integers(0, 1), st.booleans()), max_size=4),
    ),
    min_size=1,
    max_size=4,
).filter(lambda images: any(not hard for _, truths in images for _, _, hard in truths))


def to_samples(images):
    for number, (detections, truths) in enumerate(images):
        easy, hard = ([t for t in truths if t[2] == flag] for flag in (False, True))
        yield sample(
            f"{number:03}",
            [d[0] for d in detections],
            [d[1] for d in detections],
            [d[2] for d in detections],
            [t[0] for t in easy],
            [t[1] for t in easy],
            [t[0] for t in hard],
            [t[1] for t in hard],
        )


@given(scene, st.sampled_from(list(STYLES.values())))
@settings(max_examples=150, deadline=None)
def test_equals_a_naive_loop(images, style):
    # the metric lists difficult objects last: so does the loop, for objects of equal overlap
    images = [(detections, sorted(truths, key=lambda t: t[2])) for detections, truths in images]
    table = [[naive_ap(images, label, t, style) for t in THRESHOLDS] for label in (0, 1)]
    expected = np.mean([row for row in table if row[0] is not None], axis=0)
    measured = measure(to_samples(images), style)
    assert measured["AP"] / 100 == pytest.approx(expected.mean())
    assert measured["AP50"] / 100 == pytest.approx(expected[0])
    assert measured["AP75"] / 100 == pytest.approx(expected[5])


@given(scene, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_does_not_matter(images, random):
    number = iter(range(10_000))
    images = [([(b, next(number), c) for b, _, c in detections], truths) for detections, truths in images]
    batch = list(to_samples(images))
    shuffled = batch[:]
    random.shuffle(shuffled)
    for entry in shuffled:
        order = list(range(len(entry["pred_instances"]["scores"])))
        random.shuffle(order)
        entry["pred_instances"] = {k: v[order] for k, v in entry["pred_instances"].items()}
    assert measure(shuffled) == measure(to_samples(images))
