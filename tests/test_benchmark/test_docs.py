"""The documentation: every method has its page, every page is whole, and its commands are understood."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from benchmark import task
from benchmark.cli import app
from benchmark.shell import key_values, spread
from pretrain import backbones, methods
from pretrain.recipe import keywords_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = DOCS / "methods"
HEADINGS = ("## What it does", "differs from", "## Run it", "## Cost")


def commands(text):
    return re.findall(r"^    (?:(?:\.venv/bin/)?densebench|torchrun .*-m benchmark) (.+)$", text, re.MULTILINE)


def parse(line):
    """Return a command's verb and its parameters, as the command line understands them."""
    verb, *arguments = spread(shlex.split(line, comments=True))
    command = typer.main.get_command(app).commands[verb]
    if verb == "data":
        verb, *arguments = arguments
        command = command.commands[verb]
    return verb, command.make_context(verb, arguments).params


def examine(line, name):
    verb, parameters = parse(line)
    if verb == "run":
        assert set(parameters["tasks"]) <= set(task.names())
    if verb != "pretrain":
        return verb
    assert parameters["method"] == name
    assert parameters["arch"] in backbones.names()
    kind = methods.load(name)
    assert (parameters["masks"] is not None) == kind.reads_regions
    kind.recipes[parameters["recipe"]].with_overrides(key_values(parameters["settings"]), kind)
    return verb


def test_every_method_has_a_page_and_every_page_a_method():
    assert sorted(path.stem for path in PAGES.glob("*.md")) == methods.names()


@pytest.mark.parametrize("name", methods.names())
def test_a_page_is_whole_and_its_commands_are_understood(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    about = methods.facts(name)
    assert text.startswith(f"# {name}: ")
    for part in (*HEADINGS, about["arxiv"], str(about["year"]), f"pretrain/methods/{name}.py"):
        assert part in text, part
    assert "pretrain" in {examine(line, name) for line in commands(text)}
    for recipe in about["recipes"] if name != "random" else ():
        assert f"`{recipe}`" in text, recipe
    for keyword in re.findall(r"`(\w+)=", text):
        assert keyword in keywords_of(methods.load(name)) or keyword in ("zero_init_last",), keyword
    for linked in re.findall(r"\]\((\w+\.md)\)", text):
        assert (PAGES / linked).is_file(), linked


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in DOCS.glob("*.md"))])
def test_the_commands_of_every_page_are_understood_and_its_links_lead_somewhere(page):
    file = DOCS.parent / page
    text = file.read_text(encoding="utf-8")
    for line in commands(text):
        parse(line)
    for linked in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", text):
        assert (file.parent / linked).is_file(), linked


def test_every_verb_is_in_the_readme_or_the_docs():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    shown = {parse(line)[0] for page in pages for line in commands(page.read_text(encoding="utf-8"))}
    verbs = typer.main.get_command(app).commands
    assert {*verbs, *verbs["data"].commands} - {"data", "demo"} <= shown  # `make demo`


@pytest.mark.parametrize(
    "line",
    [
        "pretrain densecl --image here --recipe scenes --out there",
        "pretrain densecl --images here --recipe scenes",
        "pretrain densecl --images here --recipe coco-801e --out there",
        "pretrain densecl --images here --recipe scenes --out there --set greed=7",
        "pretrain densecl --images here --recipe scenes --out there --arch resnet51",
        "pretrain detcon_b --images here --recipe scenes --out there",
        "run voc_seg --checkpoint random --data-root here",
    ],
)
def test_a_wrong_command_would_be_found(line):
    with pytest.raises(Exception, match=r"."):
        examine(line, line.split()[1])
