from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.quiet import quiet


def test_only_the_packages_own_noise_is_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), warnings.catch_warnings(record=True) as caught, quiet():
        print("Could not import OneDL. Skipping OneDL datasets.")
        print("something else")
        warnings.warn("deprecated", stacklevel=1)
        raise KeyError
    assert capsys.readouterr().out == "something else\n"
    assert not caught


def test_the_command_line_does_not_import_transformers(folders: Callable[[str], Path]) -> None:
    code = "import sys\nfrom benchmark.shell import perform\nfrom benchmark.cli import app\n"
    code += f"assert perform(app, ['inspect', {str(folders('DINOv2'))!r}]) == 0\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], capture_output=True)


def test_mmpretrain_is_imported_without_its_half_for_transformers_4() -> None:
    with quiet():
        from mmpretrain.models import utils
    assert not utils.WITH_MULTIMODAL
