"""Where files and numbers come from."""

import subprocess

import pytest

from pretrain import provenance


def test_no_commit_is_borrowed_from_a_clone_around_an_installation(tmp_path, monkeypatch):
    """An installed package has no clone of its own; git would answer for the one that its environment lies in."""
    installed = tmp_path / ".venv" / "pretrain"
    installed.mkdir(parents=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(installed / "provenance.py"))
    assert provenance.commit() == ""
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "pretrain" / "provenance.py"))
    assert len(provenance.commit()) == 40


@pytest.mark.parametrize("name", ["pillow", "onedl-mmpretrain", "torch"])
def test_versions_name_what_shapes_a_result(name):
    assert name in provenance.versions()
