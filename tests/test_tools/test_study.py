"""tools/study.py: a wrong share and an early end are one sentence and an exit status."""

import importlib
import sys
from pathlib import Path

import pytest

from pretrain.errors import DensebenchError

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def study():
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("study")


def interrupted(*_, **__):
    raise KeyboardInterrupt


def interrupted_and_saved(*_, **__):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise DensebenchError("Interrupted after 3 of 9 steps.", "Type the same command again.") from None


def refused(*_, **__):
    raise DensebenchError("There is no voc.json.", "Write it.")


@pytest.mark.parametrize(
    ("raises", "status", "says"),
    [
        (interrupted, 130, "Interrupted; what was done is kept. The same command continues from there.\n"),
        (interrupted_and_saved, 130, "Interrupted after 3 of 9 steps. Type the same command again.\n"),
        (refused, 1, "There is no voc.json. Write it.\n"),
    ],
)
def test_an_early_end_is_a_sentence_and_a_status(study, monkeypatch, tmp_path, capsys, raises, status, says):
    monkeypatch.setattr(sys, "argv", ["study.py", "scenes", "--out", str(tmp_path), "--row", "random"])
    monkeypatch.setattr(study.scenes, "write", lambda folder, *_: folder)
    monkeypatch.setattr(study, "run_tasks", raises)
    assert study.main() == status
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("part", ["3", "3/2", "0/2", "1/x", "-1/2"])
def test_a_wrong_share_is_wrong_usage(study, monkeypatch, capsys, part):
    monkeypatch.setattr(sys, "argv", ["study.py", "scenes", f"--part={part}"])
    with pytest.raises(SystemExit) as end:
        study.main()
    assert end.value.code == 2
    assert f"'{part}' is no share; write 1/2" in capsys.readouterr().err


def test_a_share_is_a_number_of_a_number(study):
    assert study.share("2/3") == (2, 3)
