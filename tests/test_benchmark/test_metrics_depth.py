"""Depth errors through the metric's own path: published case, conventions, broken variants."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.depth import DepthErrors
from pretrain.errors import DensebenchError

torch.set_num_threads(1)
CASE = json.loads((Path(__file__).parents[1] / "fixtures" / "evaluators" / "depth_case.json").read_text())


def measure(predictions, truths, min_depth=1e-3, max_depth=10.0):
    metric = DepthErrors(min_depth, max_depth)
    for predicted, truth in zip(predictions, truths, strict=True):
        sample = {
            "img_path": "room.jpg",
            "pred_depth_map": {"data": torch.as_tensor(predicted)[None]},
            "gt_depth_map": {"data": torch.as_tensor(truth)},
        }
        metric.process(None, [sample])
    return metric.evaluate(len(metric.results))


def test_published_case():
    measured = measure([CASE["pred"]], [CASE["gt"]])
    expected = CASE["eigen_convention"]
    assert round(measured["rel"], 3) == CASE["published"]["abs_rel"]
    # the case is in float32, as a network's depth is; its values are whole numbers, so exact
    assert measured["rel"] == pytest.approx(expected["abs_rel"], abs=1e-12)
    assert measured["rms"] == pytest.approx(expected["rmse"], abs=1e-12)
    assert [measured[f"delta{k}"] / 100 for k in (1, 2, 3)] == [expected[f"d{k}"] for k in (1, 2, 3)]


def test_broken_variants_fail():
    right = measure([CASE["pred"]], [CASE["gt"]])
    swapped = measure([CASE["gt"]], [CASE["pred"]])
    assert swapped["rel"] != pytest.approx(right["rel"], rel=0.05)
    millimetres = measure([[[1000 * d for d in row] for row in CASE["pred"]]], [CASE["gt"]])
    assert millimetres["rel"] > right["rel"]


def test_invalid_pixels_do_not_count():
    measured = measure([[[2.0, 7.0, 5.0, 5.0]]], [[[2.0, 0.0, 20.0, float("nan")]]])
    assert measured == {"delta1": 100, "delta2": 100, "delta3": 100, "rms": 0, "rel": 0}
    assert measure([[[2.0, 7.0]]], [[[2.0, 0.0]]], min_depth=0.0) == measured


def test_the_mean_is_over_images_not_pixels():
    one_pixel_off = ([[2.0]], [[1.0]])  # rms 1, rel 1
    many_right = ([[1.0] * 9], [[1.0] * 9])
    empty = ([[1.0]], [[0.0]])
    predictions, truths = zip(one_pixel_off, many_right, empty, strict=True)
    measured = measure(predictions, truths)
    assert (measured["rms"], measured["rel"], measured["delta3"]) == (0.5, 0.5, 50)


def test_predictions_are_clipped_to_the_range():
    assert measure([[[50.0, -1.0]]], [[[8.0, 1.0]]], 0.5, 10.0)["rms"] == pytest.approx(((4 + 0.25) / 2) ** 0.5)


def test_bad_input_is_named():
    with pytest.raises(DensebenchError, match=r"room\.jpg: the predicted depth has NaN"):
        measure([[[float("nan")]]], [[[1.0]]])
    with pytest.raises(DensebenchError, match="None of the 1 evaluated images"):
        measure([[[1.0]]], [[[0.0]]])
    with pytest.raises(DensebenchError, match=r"\(1, 2\) and its label \(1, 1\)"):
        measure([[[1.0, 1.0]]], [[[1.0]]])


depth = st.floats(0.5, 9.5, width=32)


@given(st.lists(st.tuples(depth, depth), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_equals_a_naive_loop(pairs):
    measured = measure([[[p for p, _ in pairs]]], [[[t for _, t in pairs]]])
    n = len(pairs)
    assert measured["rel"] == pytest.approx(sum(abs(p - t) / t for p, t in pairs) / n)
    assert measured["rms"] == pytest.approx((sum((p - t) ** 2 for p, t in pairs) / n) ** 0.5, abs=1e-9)
    for k in (1, 2, 3):
        share = sum(max(p / t, t / p) < 1.25**k for p, t in pairs) / n
        assert measured[f"delta{k}"] == pytest.approx(100 * share)
    assert measured["delta1"] <= measured["delta2"] <= measured["delta3"]
    shuffled = measure([[[p for p, _ in pairs[::-1]]]], [[[t for _, t in pairs[::-1]]]])
    assert shuffled["rms"] == pytest.approx(measured["rms"])
