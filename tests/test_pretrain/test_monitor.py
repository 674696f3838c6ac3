"""What a pretraining run says of itself while it runs."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from pretrain import methods
from pretrain.data.images import Source
from pretrain.engine import launch
from pretrain.monitor import UnreadableHook
from pretrain.train import _notes

FLOAT32 = {"precision": "float32"}


def test_images_that_any_rank_skipped_are_named_and_counted(monkeypatch, tmp_path, capsys):
    log = logging.getLogger("ranks")
    runner = SimpleNamespace(iter=4, max_iters=10, rank=0, logger=log)
    skipped = SimpleNamespace(skipped=lambda: [Path("a.jpg")])
    monkeypatch.setattr("pretrain.monitor.all_gather_object", lambda own: [own, ["b.jpg", "a.jpg"]])
    hook = UnreadableHook(skipped, tmp_path / "unreadable.txt", 5)
    hook.after_train_iter(runner, 4)
    assert hook.count == 2
    assert (tmp_path / "unreadable.txt").read_text() == "a.jpg\nb.jpg\n"
    assert "2 unreadable images" in capsys.readouterr().err
    hook.after_train_iter(runner, 4)
    assert not capsys.readouterr().err
    assert UnreadableHook(skipped, tmp_path / "unreadable.txt", 5).count == 2  # as a resumed run reads it


@pytest.mark.parametrize(
    ("method", "groups", "ranks", "noted"),
    [("moco_v1", 1, 1, True), ("densecl", 1, 1, True), ("resim", 4, 1, False), ("moco_v2", 1, 2, False)],
)
def test_a_momentum_contrast_without_shuffled_norms_is_noted(method, groups, ranks, noted, monkeypatch):
    monkeypatch.setattr(launch, "world_size", lambda: ranks)
    kind = methods.load(method)
    recipe = kind.recipes["scenes"].with_overrides({**FLOAT32, "batch_norm_groups": str(groups)}, kind)
    assert any("batch_norm_groups=8" in note for note in _notes(kind, recipe, None, Source("none", ()))) == noted
    other = methods.load("byol")
    assert _notes(other, other.recipes["scenes"].with_overrides(FLOAT32, other), None, Source("none", ())) == []


def test_a_precision_that_would_be_emulated_is_noted(monkeypatch):
    monkeypatch.setattr("pretrain.engine.precision.has_bfloat16", lambda: False)
    kind = methods.load("byol")
    (note,) = _notes(kind, kind.recipes["scenes"], None, Source("none", ()))
    assert "float32" in note and "bfloat16" in note
    assert not _notes(kind, kind.recipes["scenes"].with_overrides(FLOAT32, kind), None, Source("none", ()))
