"""What a file of tensors holds, whatever kind of file it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pretrain.errors import DensebenchError, one_line
from pretrain.plain import printable
from pretrain.stored import Stored

Tree = dict[str, Any]


@dataclass(frozen=True)
class Contents:
    """What a file holds; no tensor's numbers have been read.

    Attributes:
        container: What kind of file it is, in words.
        tree: Names to `Stored` tensors, plain values and further trees.
        metadata: safetensors' own, or the entry `meta` of a torch file.
        files: The files that hold the tensors: the file itself, or those of a folder.
        inert: Classes and functions that the file names and that were not looked up.
        checks: Verify the checksums of what was not read, where there are any.
    """

    container: str
    tree: Tree
    metadata: Tree
    files: tuple[Path, ...]
    inert: tuple[str, ...] = ()
    checks: tuple[Callable[[], None], ...] = field(default=(), repr=False)

    def tensors(self) -> Tree:
        """Return the tree with tensors of torch, mapped from the file, after verifying all checksums.

        Raises:
            DensebenchError: A checksum does not hold.
        """
        for check in self.checks:
            try:
                check()
            except Exception as error:
                raise damaged(self.files[0], self.container, error) from error
        found = _mapped(self.tree)
        assert isinstance(found, dict)
        return found


def _mapped(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _mapped(value) for name, value in tree.items()}
    return tree.tensor() if isinstance(tree, Stored) else tree


def damaged(path: Path, kind: str, error: Exception) -> DensebenchError:
    """Describe a file that is not what it seems to be."""
    words = printable(one_line(error))
    what = f"a {kind} file" if kind != "pickle" else "a checkpoint of arrays"
    return DensebenchError(f"{path} is truncated, damaged or not {what} ({words}).", "Copy it anew.")
