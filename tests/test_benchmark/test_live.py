"""The live table and its time left."""

import io

import pytest
from rich.console import Console

from benchmark.estimate import Clock, Step
from benchmark.live import WAITING, Board, describe
from pretrain.pace import in_words

SEG, DET = "voc_seg_fcn_d8_20k.demo", "voc_det_c4_24k.demo"


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def board(terminal=False, clock=None):
    clock = clock or Clock({"a": Step("a", 60.0)})
    console = Console(file=io.StringIO(), force_terminal=terminal, width=110, highlight=False)
    return Board(["random", "densecl"], [SEG, DET], "resnet18", clock, console)


def text(board):
    return board.console.file.getvalue()


def rows(board):
    console = Console(file=io.StringIO(), width=110)
    console.print(board.table())
    return console.file.getvalue()


@pytest.fixture
def detection(make_record):
    def make(ap, ap50, **fields):
        metrics = {"AP": ap, "AP50": ap50, "AP75": 0.0}
        return make_record(
            task=DET,
            metrics=metrics,
            directions=dict.fromkeys(metrics, "higher"),
            headline="AP",
            metric_info={key: {"label": key, "scale": "percent"} for key in metrics},
            **fields,
        )

    return make


def test_the_table_is_there_before_anything_is_measured():
    shown = rows(board())
    assert "random" in shown
    assert "densecl" in shown
    assert shown.count(WAITING) == 4


def test_a_cell_fills_while_its_run_goes_on(make_record):
    table = board()
    table.running("densecl", SEG, 0.42)
    assert "42%" in rows(table)
    table.measured("densecl", SEG, make_record(task=SEG, value=23.456))
    shown = rows(table)
    assert "42%" not in shown
    assert "23.5" in shown
    assert shown.count(WAITING) == 3


def test_detection_shows_ap50_beside_ap_and_marks_the_floor(detection):
    assert describe([detection(12.34, 30.06)]) == "AP 12.3 · AP50 30.1"
    assert describe([detection(0.34, 2.06)]) == "AP 0.3 · AP50 2.1†"
    table = board()
    assert "floor" not in rows(table)
    table.fill([detection(0.34, 2.06)])
    assert "floor" in rows(table)


def test_several_seeds_show_mean_and_spread(detection):
    seeds = [detection(10.0, 30.0, seed=0), detection(12.0, 32.0, seed=1)]
    assert describe(seeds) == "AP 11.0 ± 1.4 (2) · AP50 31.0"


def test_without_a_terminal_there_are_plain_lines_and_one_table(make_record):
    table = board()
    with table.shown():
        table.doing("pretraining densecl")
        table.measured("densecl", SEG, make_record(task=SEG, value=23.456))
    lines = text(table).splitlines()
    assert "\x1b" not in text(table)
    assert "pretraining densecl, about 60 s left" in lines[0]
    assert "23.5" in lines[1]
    assert sum("cityscapes" in line or "voc_seg" in line for line in lines[2:]) == 1


def test_a_failure_without_a_terminal_prints_no_table():
    table = board()
    with pytest.raises(RuntimeError), table.shown():
        raise RuntimeError
    assert text(table) == ""


def test_on_a_terminal_the_table_is_drawn_in_place(make_record):
    table = board(terminal=True)
    with table.shown():
        table.doing("pretraining densecl")
        table.say("a line above")
        table.measured("densecl", SEG, make_record(task=SEG, value=23.456))
    shown = text(table)
    assert "a line above" in shown
    assert "\x1b[1A" in shown  # the cursor goes up to draw again
    assert shown.index("pretraining densecl") < shown.rindex("23.5")
    assert "left" not in shown[shown.rindex("23.5") :]


def test_the_first_guess_is_the_plan():
    time = Time()
    clock = Clock({"a": Step("x", 10.0), "b": Step("y", 20.0)}, time)
    assert clock.left() == pytest.approx(30.0)


def test_what_was_measured_corrects_the_plan():
    time = Time()
    steps = {"a": Step("x", 10.0), "b": Step("x", 10.0), "c": Step("y", 30.0)}
    clock = Clock(steps, time)
    clock.start("a")
    time.now += 20.0
    clock.finish("a")
    # Another x takes 20 s again; y is slower than planned by the same factor, 2.
    assert clock.left() == pytest.approx(20.0 + 60.0)


def test_the_running_step_counts_by_its_own_speed():
    time = Time()
    clock = Clock({"a": Step("x", 10.0), "b": Step("y", 5.0)}, time)
    clock.start("a")
    time.now += 30.0
    clock.advance(0.5)
    assert clock.left() == pytest.approx(30.0 + 5.0)
    clock.finish("a")
    assert clock.elapsed() == pytest.approx(30.0)


def test_a_step_that_was_found_done_teaches_nothing():
    time = Time()
    clock = Clock({"a": Step("x", 10.0), "b": Step("x", 10.0)}, time)
    clock.finish("a")
    assert clock.left() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "5 s"), (42.0, "40 s"), (89.0, "90 s"), (100.0, "2 min"), (600.0, "10 min"), (12600.0, "3.5 h")],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
