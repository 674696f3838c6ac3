"""LaTeX and HTML: every column under its head, and no text that becomes markup."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from benchmark.report import columns, html, latex
from benchmark.table import leaderboard, wide

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NASTY = "a&b%$#_{}\\~^<>|\"'±† </style></td><script>alert(1)</script>"


def some(make_record, **changes):
    """Records of two architectures, two protocols of one task, and a task with two metrics at the floor."""
    detection = {"AP": 0.4, "AP50": 0.9}
    return [
        *(make_record(value=value, seed=seed, **changes) for seed, value in enumerate([60.0, 61.0, 60.5])),
        *(make_record(value=value, seed=seed, method="random") for seed, value in enumerate([50.0, 51.0, 50.5])),
        make_record(value=33.0, arch="resnet50", protocol={"lr": 1}),
        make_record(value=44.0, mode="linear", protocol={"lr": 2}),
        make_record(
            task="voc_det",
            metrics=detection,
            directions=dict.fromkeys(detection, "higher"),
            headline="AP",
            protocol={"lr": 3},
        ),
    ]


class Page(HTMLParser):
    """What a browser makes of a page: the tags, and the texts of every row."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1] += [""] * int(dict(attributes).get("colspan", 1))

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.inside in ("td", "th", "b", "small"):
            self.rows[-1][-1] += " ".join(data.split())


def test_heads_stand_below_their_tasks(make_record):
    frame = wide(some(make_record))
    assert columns.spans(frame) == [("voc_det", 2), ("voc_seg_fcn_d8_20k", 3)]
    heads = columns.heads(frame)
    assert heads[:2] == ["AP", "AP50"] and "linear mIoU" in heads
    assert sum(bool(re.fullmatch(r"mIoU \(\w+\)", head)) for head in heads) == 2
    tasks = [task for task, span in columns.spans(frame) for _ in range(span)]
    assert columns.titles(frame) == [f"{task} {head}" for task, head in zip(tasks, heads, strict=True)]


def test_a_page_has_a_cell_for_every_column(make_record):
    records = some(make_record)
    page = Page(html.page(wide(records), leaderboard(records)))
    short, long = page.rows[: 2 + 3], page.rows[2 + 3 :]  # two rows of heads, three checkpoints
    assert {len(row) for row in short} == {2 + 5} and {len(row) for row in long} == {9}
    assert len(long) == 1 + len(leaderboard(records))
    assert page.tags.count("b") == 1  # one best: nothing else has a rival
    random, densecl, other = short[2:]
    assert random[0] == "random" and "50.5 ± 0.5 (3)" in random
    assert "60.5 ± 0.5 (3)better" in densecl and "0.4 (1)†" in densecl
    assert other[1] == "resnet50" and other.count("-") == 4


def test_a_name_is_no_markup(make_record):
    records = some(make_record, name=NASTY)
    text = html.page(wide(records), leaderboard(records))
    page = Page(text)
    assert "script" not in page.tags and text.count("</style>") == 1
    assert any(row[0].startswith(NASTY) for row in page.rows)
    assert set(page.tags) <= {*("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "small")} | {
        *("table", "thead", "tbody", "tr", "th", "td", "b")
    }


def commands(text):
    """Strip what LaTeX reads as one thing: escaped characters, commands, mathematics."""
    return re.sub(r"\\[&%$#_{}]|\{[\[*]\}|\\text\w+\{\}|\\textsuperscript\{\\textdagger(dbl)?\}|\$\\pm\$", "", text)


@given(texts)
def test_no_text_is_a_latex_command(text):
    assert not re.search(r"[&%$#_{}\\~^<>|\"\n±†‡*\[]", commands(latex.escape(text)))


def test_latex_has_a_cell_for_every_column(make_record):
    text = latex.wide(wide(some(make_record, name=NASTY)))
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    spans = [sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", row)) for row in rows]
    cells = [commands(row).count("&") + 1 + span for row, span in zip(rows, spans, strict=True)]
    assert cells == [2 + 5] * (2 + 3)  # heads and checkpoints
    assert r"\begin{tabular}{llrrrrr}" in text and r"\cmidrule(lr){3-4}\cmidrule(lr){5-7}" in text
    assert body.count(r"\midrule") == 2  # one before each architecture
    assert r"\textbf{60.5 $\pm$ 0.5 (3)}" in text and r"0.4 (1)\textsuperscript{\textdagger}" in text


def test_latex_says_below_the_table_what_its_marks_are(make_record):
    text = latex.wide(wide(some(make_record, name="[1em]x", partial=True)))
    above, below = text.split(r"\end{tabular}")
    assert r"\textdagger}: at the floor" in below and r"\textdaggerdbl}: not the task" in below
    assert "images" in below and len(re.findall(r"\\par \w{12}: ", below)) == 4
    assert not re.search(r"^[\[*]", above, re.MULTILINE)  # would be an option of the line before
    assert r"60.5 $\pm$ 0.5 (3)\textsuperscript{\textdaggerdbl}" in above
    assert not any(line.startswith("%") and "floor" in line for line in text.splitlines())


def test_a_page_says_what_each_protocol_is(make_record):
    records = some(make_record, partial=True)
    text = html.page(wide(records), leaderboard(records))
    assert text.count('<p class="protocol">') == 4
    assert "60.5 ± 0.5 (3)‡" in text


def test_empty_tables():
    assert Page(html.page(wide([]), leaderboard([]))).tags.count("tr") == 3
    assert r"checkpoint & arch \\" in latex.wide(wide([]))
