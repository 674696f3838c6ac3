"""mIoU through the metric's own path: published cases of both conventions, a naive loop, broken variants."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.metrics.miou import MeanIoU, confusion_matrix
from pretrain.errors import DensebenchError

torch.set_num_threads(1)
CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "evaluators" / "miou_cases.json").read_text())
UNION = CASES["union_of_prediction_and_truth"]


def measure(predictions, truths, classes, ignore_index=255):
    metric = MeanIoU(classes, ignore_index)
    for number, (predicted, truth) in enumerate(zip(predictions, truths, strict=True)):
        maps = {"pred_sem_seg": predicted, "gt_sem_seg": truth}
        data = {name: {"data": torch.as_tensor(np.asarray(value))[None]} for name, value in maps.items()}
        metric.process(None, [{"img_path": f"{number}.jpg", **data}])
    return metric.evaluate(len(metric.results))


def test_published_case_over_the_union_of_classes():
    measured = measure(UNION["predictions"], UNION["references"], UNION["num_labels"])
    assert measured["mIoU"] / 100 == pytest.approx(UNION["published"]["mean_iou"], abs=1e-12)
    assert measured["aAcc"] / 100 == pytest.approx(UNION["published"]["overall_accuracy"], abs=1e-12)
    assert measured["mAcc"] / 100 == pytest.approx(UNION["published"]["mean_accuracy"], abs=1e-12)


def test_published_classes():
    matrix = np.zeros((10, 10), np.int64)
    for predicted, truth in zip(UNION["predictions"], UNION["references"], strict=True):
        matrix += confusion_matrix(torch.tensor(predicted), torch.tensor(truth), 10)
    right = matrix.diagonal()
    assert right / (matrix.sum(0) + matrix.sum(1) - right) == pytest.approx(UNION["published"]["per_category_iou"])
    assert right / matrix.sum(1) == pytest.approx(UNION["published"]["per_category_accuracy"])


@pytest.mark.parametrize("case", CASES["classes_of_truth_only"], ids=lambda case: case["name"])
def test_published_cases_over_the_classes_of_the_truth(case):
    """There a class that is only predicted does not lower the mean; here it counts, with an IoU of 0."""
    measured = measure([case["pred"]], [case["gt"]], 5)
    in_truth = {label for row in case["gt"] for label in row}
    in_either = in_truth | {label for row in case["pred"] for label in row}
    expected = case["mean_iu_over_gt_classes"] * len(in_truth) / len(in_either)
    assert measured["mIoU"] / 100 == pytest.approx(expected, abs=1e-12)
    assert measured["aAcc"] / 100 == pytest.approx(case["pixel_accuracy"], abs=1e-12)
    assert measured["mAcc"] / 100 == pytest.approx(case["mean_accuracy"], abs=1e-12)


def test_the_classes_that_occur_are_counted():
    """Of five classes two stand in the labels; a third is only predicted."""
    measured = measure([[[0, 1], [2, 1]]], [[[0, 0], [1, 255]]], 5)
    assert measured["evaluated_classes"] == 2


def test_broken_variants_fail():
    right = measure(UNION["predictions"], UNION["references"], 10)
    swapped = measure(UNION["references"], UNION["predictions"], 10)
    assert swapped["mIoU"] == pytest.approx(right["mIoU"])  # the union is symmetrical
    assert swapped["mAcc"] != pytest.approx(right["mAcc"], rel=0.01)
    shuffled = [[[(label + 1) % 10 for label in row] for row in image] for image in UNION["predictions"]]
    assert measure(shuffled, UNION["references"], 10)["mIoU"] < 0.5 * right["mIoU"]
    with pytest.raises(DensebenchError, match=r"0\.jpg has the label 255, expected 0 to 9"):
        measure(UNION["predictions"], UNION["references"], 10, ignore_index=254)


def test_another_ignored_label_is_another_number():
    truth, predicted = [[0, 0, 1, 9]], [[0, 1, 1, 0]]
    assert measure([predicted], [truth], 10, ignore_index=9) != measure([predicted], [truth], 10, ignore_index=0)


def test_bad_maps_are_named():
    with pytest.raises(DensebenchError, match=r"0\.jpg: the prediction is \(1, 2\) and its label \(2, 1\)"):
        measure([[[0, 0]]], [[[0], [0]]], 2)
    with pytest.raises(DensebenchError, match="has the prediction 5"):
        measure([[[5]]], [[[0]]], 2)
    with pytest.raises(DensebenchError, match="No evaluated pixel"):
        measure([[[0]]], [[[255]]], 2)


def test_duplicates_that_pad_the_last_batch_are_dropped():
    metric = MeanIoU(2)
    good, bad = ({"data": torch.tensor([[value]])} for value in (0, 1))
    metric.process(None, [{"pred_sem_seg": good, "gt_sem_seg": good}, {"pred_sem_seg": bad, "gt_sem_seg": good}])
    assert metric.evaluate(1)["mIoU"] == 100


def naive(predictions, truths, classes, ignore_index):
    ious = []
    for label in range(classes):
        both = either = 0
        for predicted, truth in zip(predictions, truths, strict=True):
            for p, t in zip(predicted.ravel(), truth.ravel(), strict=True):
                if t != ignore_index:
                    both += p == label and t == label
                    either += p == label or t == label
        if either:
            ious.append(both / either)
    return 100 * sum(ious) / len(ious)


@st.composite
def maps(draw):
    truths, predictions = [], []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        truths.append(draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255]))))
        predictions.append(draw(arrays(np.int64, shape, elements=st.integers(0, 3))))
    return predictions, truths


@given(maps().filter(lambda m: any((truth != 255).any() for truth in m[1])))
@settings(max_examples=100, deadline=None)
def test_equals_a_naive_loop(case):
    predictions, truths = case
    assert measure(predictions, truths, 4)["mIoU"] == pytest.approx(naive(predictions, truths, 4, 255))
    assert measure(predictions[::-1], truths[::-1], 4) == measure(predictions, truths, 4)
