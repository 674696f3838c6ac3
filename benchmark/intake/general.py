"""Files of code bases that nobody described: a network with torchvision's or timm's names, behind whatever prefix.

It is asked last. Of several networks the field's words choose: a student before its momentum encoder, and a teacher
before its student where both are called so (the DINO family). Where the names give no hint, --trunk must choose.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark import backbones
from benchmark.intake import no_format
from benchmark.prefixed import Naming, Trunk
from benchmark.source import Source
from pretrain.errors import UsageError
from pretrain.stored import is_tensor

_BLOCK = re.compile(
    r"(.*?)layer[1-4]\.\d+\.conv\d\.weight"
    r"|(|.*?\.)(?:blocks\.\d+\.attn\.qkv|encoder\.layers\.encoder_layer_\d+\.mlp\.0)\.weight"
    r"|(|.*?\.)(?:stages\.\d\.blocks\.\d+\.conv_dw|features\.\d\.\d+\.block\.0)\.weight"
)
_NO_TRUNK = re.compile(r"(?<![a-z])(decoder|predictor)(?![a-z])")  # they have blocks, too
STUDENTS = re.compile(r"(?<![a-z])(query|q|online|base|student)(?![a-z])")
TEACHERS = re.compile(r"(?<![a-z])(key|k|momentum|target|ema|teacher)(?![a-z])")


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell whether there is a whole network anywhere in the file."""
    return bool(_trunks(tree))


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the network that is wanted, or that the names tell to be the one to evaluate.

    Raises:
        DensebenchError: There is none.
        UsageError: There are several, and the names give no hint.
    """
    trunks = _trunks(tree)
    if not trunks:
        raise no_format(path, tree)
    names = [trunk.name for trunk in trunks]
    why, torn = None, _torn(tree, trunks)
    if wanted is None and torn:
        raise UsageError(
            f"{path} holds a network that is not whole, behind '{torn[0]}', beside {', '.join(names)}.",
            "Name the one to take with --trunk.",
        )
    if wanted is None and len(trunks) > 1:
        chosen = _chosen(names)
        if chosen is None:
            raise UsageError(
                f"{path} holds {len(names)} networks, and their names do not tell which to take: {', '.join(names)}.",
                "Name one with --trunk.",
            )
        wanted, why = chosen, "the names tell it from the others"
    source = Naming("general", tuple(trunks), beside=("",)).read(path, tree, metadata, wanted)
    return dataclasses.replace(source, why=why or source.why, assumed=True)


def places(tree: Mapping[str, Any]) -> list[str]:
    """Return the names that --trunk may take: every place with a whole network."""
    return [trunk.name for trunk in _trunks(tree)]


def _trunks(tree: Mapping[str, Any]) -> list[Trunk]:
    """Return every place with a whole network, named by its container and prefix."""
    found, landmarks = [], backbones.landmarks()
    for container, state in _mappings(tree, ()):
        names = {str(name): value for name, value in state.items() if is_tensor(value)}
        for name in names:
            prefix = next((name.removesuffix(one) for one in landmarks if name.endswith(one)), None)
            if prefix is None or (prefix and not prefix.endswith(".")):
                continue
            inside = {key.removeprefix(prefix): value for key, value in names.items() if key.startswith(prefix)}
            if backbones.identify(inside) is not None:
                found.append(Trunk(".".join((*container, prefix.rstrip("."))).rstrip("."), container, prefix))
    return found


def _torn(tree: Mapping[str, Any], whole: list[Trunk]) -> list[str]:
    """Return the places that have several of a network's blocks, but not all of it."""
    places = {(trunk.container, trunk.prefix) for trunk in whole}
    blocks = Counter(
        (container, match[match.lastindex or 0])
        for container, state in _mappings(tree, ())
        for name, value in state.items()
        if is_tensor(value) and (match := _BLOCK.fullmatch(str(name)))
    )
    return [
        ".".join((*container, prefix))
        for (container, prefix), count in blocks.items()
        if count > 2
        and (container, prefix) not in places
        and not _NO_TRUNK.search(".".join((*container, prefix)).lower())
    ]


def _mappings(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    yield above, tree
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(key, str) and len(above) < 6:
            yield from _mappings(value, (*above, key))


def _chosen(names: list[str]) -> str | None:
    """Return the network that the words in the names tell to take, if they tell one."""
    students = [name for name in names if STUDENTS.search(name.lower()) and not TEACHERS.search(name.lower())]
    teachers = [name for name in names if TEACHERS.search(name.lower())]
    dino = [name for name in teachers if "teacher" in name.lower()]
    if len(dino) == 1 and any("student" in name.lower() for name in students):
        return dino[0]
    plain = students or [name for name in names if name not in teachers]
    return plain[0] if len(plain) == 1 else None
