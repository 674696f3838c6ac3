"""Importing the mm* packages without the lines they print about optional parts, and without one such part."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings and "Could not import OneDL..." in a block that imports mm* packages.

    Whatever else is printed in the block appears when it ends.
    """
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            leave_out_multimodal()
            yield
    finally:
        for line in said.getvalue().splitlines(keepends=True):
            if "Could not import OneDL" not in line:
                sys.stdout.write(line)


def leave_out_multimodal() -> None:
    """Let mmpretrain leave out its multimodal half, wherever this process imports it from now on.

    # NOTE: mmpretrain takes that half in wherever transformers is installed. It is written for transformers 4: beside
    transformers 5 `mmpretrain.models` cannot be imported.
    """
    name = "mmpretrain.utils.dependency"
    package = importlib.util.find_spec("mmpretrain")  # found, not imported
    if name in sys.modules or package is None or package.origin is None:
        return
    place = Path(package.origin).parent / "utils" / "dependency.py"
    specification = importlib.util.spec_from_file_location(name, place)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.WITH_MULTIMODAL = False  # type: ignore[attr-defined]
    sys.modules[name] = module
