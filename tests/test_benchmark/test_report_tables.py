"""CSV and Markdown: exact numbers for programs, rounded ones for readers, and no cell that breaks out."""

import csv
import io
import math
import re
from pathlib import Path

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from benchmark.report import columns, markdown, number
from benchmark.report import csv as csv_report
from benchmark.report.printable import printable
from benchmark.result import read_all
from benchmark.stats import Summary
from benchmark.table import Cell, Conditions, leaderboard, wide

ROOT = Path(__file__).resolve().parents[2]
FORMULA = ("=", "+", "-", "@", "'")
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def parse(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.tuples(texts, st.floats(allow_infinity=False), st.integers(0, 9)), max_size=6))
def test_csv_round_trip(rows):
    frame = pd.DataFrame(rows, columns=["method", "mean", "n"])
    header, *lines = parse(csv_report.render(frame))
    assert header == ["method", "mean", "n"]
    assert len(lines) == len(rows)
    for (method, mean, n), (cell, value, count) in zip(rows, lines, strict=True):
        method = printable(method)
        assert not cell.startswith(FORMULA) or cell[0] == "'"
        assert cell.removeprefix("'") == method if method.startswith(FORMULA) else cell == method
        assert value == "" if math.isnan(mean) else float(value) == mean
        assert int(count) == n


def test_leaderboard_csv(make_record):
    records = [
        make_record(value=100 / 3),
        make_record(value=20.0, method="random"),
        make_record(value=40.0, seed=1),
    ]
    lines = csv_report.render(leaderboard(records)).splitlines()
    assert lines[0] == (
        "method,arch,checkpoint,task,mode,metric,mean,sd,n,gain_over_random,rank,fingerprint,"
        "scale,floor,data,evaluated,precision,partial,changed"
    )
    assert len(lines) == 3
    assert float(lines[1].split(",")[6]) == leaderboard(records)["mean"][0]
    assert lines[2].split(",")[6:11] == ["20.0", "", "1", "0.0", "2"]


def test_a_name_cannot_be_a_formula(make_record):
    text = csv_report.render(leaderboard([make_record(name="=HYPERLINK(1)", method="@x")]))
    assert parse(text)[1][0] == "'@x"
    assert parse(text)[1][2].startswith("'=HYPERLINK(1)@")


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=4))
def test_every_markdown_row_has_its_cells(rows):
    lines = markdown.render(["one", "two"], rows).split("\n")
    assert len(lines) == len(rows) + 3  # header, rule, and the empty text after the last line end
    for line in lines[:-1]:
        plain = re.sub(r"\\[\\|`*\[/]", "", line)
        assert plain.count("|") == 3
        assert line.startswith("|") and line.endswith("|")


def test_markdown_tables(make_record):
    records = [make_record(value=value, seed=seed) for seed, value in enumerate([60.04, 60.26])]
    records += [make_record(value=50.0, method="random"), make_record(value=55.0, method="a|b")]
    long = markdown.leaderboard(leaderboard(records))
    assert "60.1 ± 0.2 (2)" in long
    assert "+10.1" in long and "a\\|b@" in long
    short = markdown.wide(wide(records))
    assert "**60.1 ± 0.2 (2)**" in short
    assert "50.0 (1)" in short and "**50.0 (1)**" not in short
    assert "voc_seg_fcn_d8_20k mIoU" in short


def test_titles_tell_protocols_and_modes_apart(make_record):
    records = [make_record(), make_record(protocol={"lr": 1}), make_record(mode="linear", protocol={"lr": 2})]
    first, second, linear = sorted(columns.titles(wide(records)), key=lambda title: "linear" in title)
    assert first != second and "(" in first and "(" in second
    assert linear == "voc_seg_fcn_d8_20k linear mIoU"


def test_empty_tables_are_tables():
    assert markdown.wide(wide([])).startswith("| checkpoint | arch |")
    assert markdown.leaderboard(leaderboard([])).startswith("| task")


def test_numbers():
    usual = Conditions("official", None, "float32", False, ())
    partly = Conditions("official", None, "float32", True, ())
    assert number.cell(None) == "-"
    assert number.cell(Cell(Summary(0.42, math.nan, 1), "percent", False, True, "", usual)) == "0.4 (1)†"
    assert number.cell(Cell(Summary(9.42, math.nan, 1), "percent", False, False, "", partly)) == "9.4 (1)‡"
    assert number.summary(Summary(0.61149, 0.0123, 3), "metres") == "0.611 ± 0.012 (3)"
    assert number.gain(-0.26, "percent") == "-0.3"
    assert number.gain(math.nan, "percent") == "-"


def test_the_published_leaderboard_is_that_of_the_records():
    """Made by `densebench table --records results/records --format csv`."""
    made = csv_report.render(leaderboard(read_all([ROOT / "results" / "records"])))
    assert made.encode() == (ROOT / "results" / "leaderboard.csv").read_bytes()


def test_ranks_are_written_and_the_floor_is_marked(make_record):
    low = {"metrics": {"AP": 0.5}, "directions": {"AP": "higher"}, "headline": "AP", "protocol": {"lr": 1}}
    rows = markdown.leaderboard(leaderboard([make_record(), make_record(**low)])).splitlines()[2:]
    ranks = {cells[3]: cells[-3:-1] for cells in ([cell.strip() for cell in row.split("|")] for row in rows)}
    assert {metric: rank for metric, (rank, _) in ranks.items()} == {"mIoU": "1", "AP": "-"}
    assert any("0.5 (1)†" in row for row in rows)


def test_below_the_table_stands_what_each_protocol_is(make_record):
    note = "The task's schedule.iterations was set to 100."
    fields = {"data": {"name": "scenes"}, "precision": "bfloat16", "partial": True, "notes": [note]}
    changed = make_record(protocol={"data.test.images": 540, "max_test_images": 200}, **fields)
    plain = make_record(data={"name": "official"}, mode="linear", protocol={"lr": 2})
    text = markdown.wide(wide([changed, plain]))
    assert (
        f"- {changed.fingerprint}: voc_seg_fcn_d8_20k, finetune; data scenes, 200 images tested; bfloat16; partial; "
        "changed: schedule.iterations was set to 100\n"
    ) in text
    assert f"- {plain.fingerprint}: voc_seg_fcn_d8_20k, linear; data official; float32\n" in text
    assert text.count("‡") == 2  # the cell and the legend


@given(texts)
def test_no_text_is_a_link_or_reaches_the_terminal(text):
    escaped = markdown.escape(text + "[a](b) http://c `d` *e* \x1b[31m \u202e")
    assert escaped.isprintable()
    assert not re.search(r"(?<!\\)(\\\\)*[\[`*|]", escaped)
    assert "://" not in escaped
