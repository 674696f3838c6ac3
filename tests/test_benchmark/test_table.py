"""Tables: who may be ranked with whom, gains, and what no order of records may change."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.table import COLUMNS, at_floor, leaderboard, wide

ROOT = Path(__file__).resolve().parents[2]


def seeds(make_record, values, **changes):
    return [make_record(value=value, seed=seed, **changes) for seed, value in enumerate(values)]


def test_one_row_a_checkpoint(make_record):
    records = [
        *seeds(make_record, [60.0, 61.0, 62.0]),
        *seeds(make_record, [50.0, 52.0], method="random"),
        make_record(method="moco_v2", value=55.0),
    ]
    frame = leaderboard(records)
    assert list(frame.columns) == COLUMNS
    assert frame["method"].tolist() == ["densecl", "moco_v2", "random"]
    assert frame["mean"].tolist() == [61.0, 55.0, 51.0]
    assert frame["n"].tolist() == [3, 1, 2]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame["gain_over_random"].tolist() == [10.0, 4.0, 0.0]
    assert frame["sd"].tolist()[0] == 1.0
    assert math.isnan(frame["sd"].tolist()[1])
    assert frame["checkpoint"].tolist()[2] == "random"
    assert frame["checkpoint"].tolist()[0].startswith("densecl@")


def test_lower_is_better_for_errors(make_record):
    records = [
        make_record(value=0.5, metric="rms", better="lower"),
        make_record(value=0.8, metric="rms", better="lower", method="random"),
    ]
    frame = leaderboard(records).set_index("method")
    assert frame.loc["densecl", "rank"] == 1
    assert frame.loc["densecl", "gain_over_random"] == pytest.approx(0.3)


def test_nothing_is_compared_across_protocols_or_architectures(make_record):
    records = [
        make_record(value=60.0),
        make_record(value=70.0, method="moco_v2", protocol={"lr": 0.02}),
        make_record(value=80.0, method="supervised", arch="resnet50"),
        make_record(value=10.0, method="random", protocol={"lr": 0.03}),
    ]
    frame = leaderboard(records)
    assert set(frame["rank"]) == {1}
    assert frame[frame["method"] != "random"]["gain_over_random"].isna().all()


def test_two_pretraining_seeds_are_two_rows(make_record):
    records = seeds(make_record, [60.0, 61.0], weights="a" * 64, pretrain_seed=0)
    records += seeds(make_record, [62.0, 63.0], weights="b" * 64, pretrain_seed=1)
    frame = leaderboard(records)
    assert frame["checkpoint"].tolist() == ["densecl@bbbbbbbb", "densecl@aaaaaaaa"]
    assert frame["n"].tolist() == [2, 2]


def test_one_checkpoint_under_two_names_is_one_row(make_record):
    records = [make_record(name="late", seed=0), make_record(name="early", seed=1)]
    (first,), (second,) = (leaderboard(order)["checkpoint"].tolist() for order in (records, records[::-1]))
    assert first == second
    assert first.startswith("early@")


def test_the_headline_comes_first_and_a_repeated_run_counts_once(make_record):
    record = make_record(
        metrics={"AP75": 1.0, "AP": 2.0, "AP50": 3.0},
        directions=dict.fromkeys(("AP75", "AP", "AP50"), "higher"),
        headline="AP",
    )
    frame = leaderboard([record, record])
    assert frame["metric"].tolist() == ["AP", "AP50", "AP75"]
    assert frame["n"].tolist() == [1, 1, 1]


def test_no_records_is_an_empty_table():
    assert list(leaderboard([]).columns) == COLUMNS
    assert leaderboard([]).empty
    assert wide([]).empty


METHODS = ["random", "densecl", "moco_v2", "supervised"]
runs = st.lists(
    st.tuples(
        st.sampled_from(METHODS),
        st.integers(0, 2),
        st.sampled_from([0.01, 0.02]),
        st.sampled_from(["resnet18", "resnet50"]),
        st.sampled_from(["higher", "lower"]),
        st.integers(0, 4).map(float) | st.floats(0, 100),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda run: run[:5],
)


def build(make_record, drawn):
    for method, seed, lr, arch, better, value in drawn:
        metric = "mIoU" if better == "higher" else "rms"
        protocol = {"lr": lr, "task": metric}
        weights = (
            f"random:{arch}:kaiming" if method == "random" else f"{METHODS.index(method)}{arch[6:]}".ljust(64, "0")
        )
        fields = {"weights": weights, "arch": arch, "protocol": protocol, "better": better, "metric": metric}
        yield make_record(method=method, seed=seed, value=value, task=metric, **fields)


@given(runs, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_records_does_not_matter(make_record, drawn, random):
    records = list(build(make_record, drawn))
    expected, shown = leaderboard(records), wide(records)
    random.shuffle(records)
    pd.testing.assert_frame_equal(leaderboard(records), expected, check_exact=True)
    assert wide(records).map(repr).equals(shown.map(repr))


@given(runs)
@settings(max_examples=60, deadline=None)
def test_rank_invariants(make_record, drawn):
    frame = leaderboard(build(make_record, drawn))
    assert frame["n"].sum() == len(drawn)
    for (metric, *_), group in frame.groupby(["metric", "task", "mode", "arch", "fingerprint"]):
        score = group["mean"] if metric == "mIoU" else -group["mean"]
        assert group["rank"].min() == 1
        for rank, own in zip(group["rank"], score, strict=True):
            assert rank == 1 + (score > own).sum()
        random = group[group["method"] == "random"]
        gains = group["gain_over_random"]
        assert gains.isna().all() if random.empty else (gains.notna().all() and (random["gain_over_random"] == 0).all())
        if not random.empty:
            assert gains.corr(score) == pytest.approx(1) or gains.nunique() == 1


def test_the_wide_table_marks_best_floor_and_verdict(make_record):
    def detection(method, ap, seed):
        keys = ("AP", "AP50", "AP75")
        return make_record(
            method=method,
            seed=seed,
            task="voc_det_c4_24k.demo",
            protocol={"kind": "detection"},
            metrics={"AP": ap, "AP50": 3 * ap, "AP75": ap / 2},
            directions=dict.fromkeys(keys, "higher"),
            headline="AP",
        )

    records = [
        *seeds(make_record, [60.0, 60.2, 60.4]),
        *seeds(make_record, [50.0, 50.2, 50.4], method="random"),
        *(detection("densecl", 0.3 + 0.1 * seed, seed) for seed in range(3)),
        *(detection("random", 0.2, seed) for seed in range(3)),
    ]
    table = wide(records)
    assert table.index.get_level_values("method").tolist() == ["random", "densecl"]
    assert table.columns.get_level_values("metric").tolist() == ["AP", "AP50", "mIoU"]
    random, densecl = (row.tolist() for _, row in table.iterrows())
    assert [cell.best for cell in densecl] == [False, True, True]
    assert [cell.floor for cell in densecl] == [True, False, False]
    assert [cell.against_random for cell in densecl] == ["", "", "better"]  # random is at the floor of AP and AP50
    assert [cell.against_random for cell in random] == ["", "", ""]
    frame = leaderboard(records).set_index(["metric", "method"])
    assert frame.loc["AP", "floor"].all() and frame.loc["AP", "rank"].isna().all()
    assert frame.loc["mIoU", "rank"].tolist() == [1, 2] and not frame.loc["mIoU", "floor"].any()
    assert frame.loc[("AP50", "densecl"), "rank"] == 1 and pd.isna(frame.loc[("AP50", "random"), "rank"])


def test_masks_stand_beside_boxes(make_record):
    keys = [f"{kind}_AP{at}" for kind in ("bbox", "segm") for at in ("", "50", "75")]
    metrics, directions = dict.fromkeys(keys, 30.0), dict.fromkeys(keys, "higher")
    table = wide([make_record(metrics=metrics, directions=directions, headline="bbox_AP")])
    assert table.columns.get_level_values("metric").tolist() == ["bbox_AP", "bbox_AP50", "segm_AP", "segm_AP50"]


def test_a_row_says_under_what_it_was_measured(make_record):
    fields = {"data": {"name": "scenes"}, "precision": "bfloat16", "partial": True}
    protocol = {"data.test.images": 540, "max_test_images": 200}
    note = "The task's schedule.iterations was set to 100."
    records = [make_record(protocol=protocol, notes=["SyncBN became BN.", note], **fields), make_record()]
    frame = leaderboard(records).set_index("data")
    assert frame.loc["scenes", ["evaluated", "precision", "partial", "changed", "scale"]].tolist() == [
        *(200, "bfloat16", True, "schedule.iterations was set to 100", "percent")
    ]
    assert pd.isna(frame.loc["", "evaluated"]) and not frame.loc["", "partial"] and frame.loc["", "changed"] == ""
    sibling = leaderboard([make_record(task="voc_seg_fcn_d8_20k.small", partial=True)])
    assert not sibling["partial"].any()
    deviating = {cell.conditions.data: cell.conditions.deviates for cell in wide(records).iloc[0]}
    assert deviating == {"scenes": True, "": False}


def test_a_name_given_for_one_task_holds_for_all(make_record):
    records = [make_record(name="densecl"), make_record(name="a-name", task="another", protocol={"lr": 1})]
    for order in (records, records[::-1]):
        assert {name.partition("@")[0] for name in leaderboard(order)["checkpoint"]} == {"a-name"}
        assert len(wide(order)) == 1


def test_what_was_not_run_is_none(make_record):
    table = wide([make_record(), make_record(method="random", task="another", protocol={"lr": 1})])
    assert sum(cell is None for row in table.to_numpy().tolist() for cell in row) == 2


@pytest.mark.parametrize("metric", ["AP", "bbox_AP50", "segm_AP75"])
def test_an_average_precision_below_one_is_at_the_floor(make_record, metric):
    def floor(*values):
        return at_floor(metric, [make_record(metric=metric, value=value, seed=i) for i, value in enumerate(values)])

    assert floor(0.9) and floor(0.4, 1.5)
    assert not floor(1.0) and not floor(0.4, 1.7)


def test_one_class_everywhere_is_at_the_floor(make_record):
    from benchmark.metrics import miou

    labels = np.array([70, 20, 10])

    def floor(right, predicted, metric="mIoU", classes=("a", "b", "c")):
        measured = miou.mean_iou(np.array(right), np.array(predicted), labels)
        directions = dict.fromkeys(measured, "higher")
        protocol = {"data.classes": list(classes)}
        return at_floor(metric, [make_record(metrics=measured, directions=directions, protocol=protocol)])

    assert floor([70, 0, 0], [100, 0, 0]) and floor([0, 0, 10], [0, 0, 100]) and floor([70, 0, 0], [100, 0, 0], "mAcc")
    assert floor([69, 1, 0], [97, 3, 0])  # one class nearly everywhere
    assert not floor([65, 6, 0], [90, 10, 0])
    assert not floor([70, 0, 0], [100, 0, 0], "aAcc")
    assert not floor([70, 0, 0], [100, 0, 0], classes=())  # a protocol that does not say


def test_the_floor_counts_the_classes_that_occur(make_record):
    """Of 21 classes 2 occur in the test images: one class everywhere has a mean recall of a half."""
    measured = {"mIoU": 45.0, "mAcc": 50.0}
    fields = {"metrics": measured, "directions": dict.fromkeys(measured, "higher")}
    protocol = {"data.classes": [str(number) for number in range(21)]}
    assert at_floor("mIoU", [make_record(**fields, protocol=protocol, data={"evaluated_classes": 2})])
    assert not at_floor("mIoU", [make_record(**fields, protocol=protocol)])  # not known: all are taken to occur


def test_a_depth_has_no_floor(make_record):
    assert not at_floor("rel", [make_record(metric="rel", value=0.1, better="lower")])


@pytest.mark.parametrize(
    "module",
    ["table", "paper", "reproduce", "commands", "report.csv", "report.html", "report.latex", "report.markdown"],
)
def test_tables_need_neither_torch_nor_mmlab(module):
    heavy = ("torch", "mmengine", "mmcv")
    script = f"import sys, benchmark.{module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
