"""What is told of the methods, the supervised one, and the views that go to them."""

import re
from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from made import batch, build
from torch.utils.data._utils.pin_memory import pin_memory

from pretrain import backbones, methods
from pretrain.errors import DensebenchError, UsageError
from pretrain.method import Labels


def test_supervised_follows_the_data():
    kind = methods.load("supervised")
    assert kind.data_keywords(9, Labels(("a", "b", "c"), multi=True)) == {"classes": 3, "multi_label": True}
    with pytest.raises(DensebenchError, match="labels"):
        kind.data_keywords(9, None)
    method = build("supervised", labels=Labels(("a", "b", "c"), multi=True))
    views = batch(method)
    views.label = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    logits = method.classifier(method.backbone(views.images[0]).mean(dim=(2, 3)))
    expected = F.binary_cross_entropy_with_logits(logits, views.label)
    torch.testing.assert_close(method.loss(views)["loss"], expected, rtol=1e-4, atol=1e-5)
    assert len(views.images) == 1


@pytest.mark.parametrize(
    ("name", "arch", "absent"),
    [
        ("simclr", "resnet18", {"masks", "regions", "label", "colours"}),
        ("detcon_s", "resnet18", {"label", "colours"}),
        ("navit", "navit_tiny_patch16", {"masks", "regions", "label", "colours"}),
    ],
)
def test_the_loader_pins_every_tensor_of_the_views(name, arch, absent, monkeypatch):
    views, pinned = batch(build(name, arch)), {}
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.setdefault(id(tensor), tensor.clone()))
    found = pin_memory(views)
    assert type(found) is type(views)
    for item in fields(views):
        before, after = getattr(views, item.name), getattr(found, item.name)
        if item.name in absent:
            assert before is None and after is None, item.name
        elif isinstance(before, list):
            assert len(before) == len(after)
            assert all(pinned[id(old)] is new for old, new in zip(before, after, strict=True)), item.name
        else:
            assert pinned[id(before)] is after, item.name


def test_unknown_names_come_with_the_closest():
    with pytest.raises(UsageError, match="Did you mean 'densecl'"):
        methods.load("densecl2")
    with pytest.raises(UsageError, match="Did you mean 'resnet18'"):
        backbones.build("resnet-18")


@pytest.mark.parametrize("name", methods.names())
def test_what_is_told_of_a_method_is_what_its_class_says(name):
    kind, told = methods.load(name), methods.facts(name)
    assert (told["authors"], told["year"], told["arxiv"]) == (kind.paper.authors, kind.paper.year, kind.paper.arxiv)
    assert told["families"] == list(kind.families)
    assert methods.reads_regions(name) == kind.reads_regions
    assert told["recipes"] == list(kind.recipes)
    assert told["cost"] == kind.cost
    assert re.fullmatch(r"\d{4}\.\d{4,5}", kind.paper.arxiv)
    assert kind.paper.year >= 2000 + int(kind.paper.arxiv[:2])
    assert kind.cost == "nothing" or re.match(r"student \d views?", kind.cost)


ODD = {
    "keyworded": """
class Odd(Method):
    paper = Paper(authors="A, B", year=2030, arxiv="3001.00001")
    recipes = {"scenes": Recipe(source="here"), NAME: Recipe(source="here")}
""",
    "computed": """
class Odd(Method):
    paper = Paper(*CITED)
    cost = f"student {VIEWS} views"
    families = FAMILIES
""",
    "broken": "class Odd(Method:",
    "unfinished": """
from pretrain.method import Method, Paper

class Odd(Method):
    paper = Paper("A", 2030, "3001.00001")

    def views(self):
        return None
""",
}


def test_an_odd_file_spoils_no_list_and_is_named_when_it_is_loaded(tmp_path, monkeypatch):
    for name, text in ODD.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "empty.py").touch()
    monkeypatch.setattr(methods, "__path__", [str(tmp_path)])
    told = {name: methods.facts(name) for name in methods.names()}
    assert [told["keyworded"][key] for key in ("authors", "year", "arxiv")] == ["A, B", 2030, "3001.00001"]
    assert told["keyworded"]["recipes"] == ["scenes"]
    for name in ("computed", "broken", "empty"):
        assert [told[name][key] for key in ("authors", "year", "arxiv", "cost")] == [None] * 4, name
    assert told["computed"]["families"] == [] and told["empty"]["families"]
    with pytest.raises(DensebenchError, match=r"broken\.py, line 1, is no Python"):
        methods.load("broken")
    with pytest.raises(DensebenchError, match=r"empty\.py defines 0 subclasses of Method"):
        methods.load("empty")
    with pytest.raises(DensebenchError, match=r"unfinished\.py: Odd lacks recipes, cost, export, loss\. "):
        methods.load("unfinished")
