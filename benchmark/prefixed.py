"""Formats that put plain networks, torchvision's or timm's names and all, behind prefixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones, unserved
from benchmark.source import NO_WEIGHT, Source, built_by, fill_counters
from pretrain.errors import DensebenchError, UsageError, unknown
from pretrain.stored import Stored, is_tensor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trunk:
    """Where a file may hold one of its networks.

    Attributes:
        name: What it is called, such as "query" or "teacher".
        container: Keys that lead to its state dict.
        prefix: What its tensors' names begin with.
        doubles: Prefixes under which the same tensors stand a second time.
    """

    name: str
    container: tuple[str, ...]
    prefix: str
    doubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Naming:
    """How a code base names what it saves.

    Attributes:
        format: Its name.
        trunks: The networks that its files may hold; the first that is there is taken.
        heads: Beginnings of names that belong to a trunk's head, after the trunk's prefix; its family's are added.
        beside: Beginnings of names beside the trunks, which are left out.
        rename: Turns a name after the prefix into torchvision's or timm's.
        join: Puts renamed tensors together that the code base keeps apart, such as queries, keys and values.
        landmark: The first convolution's name after the prefix, where `rename` would take plain names, too.
        evidence: A key beside the container that tells this code base from others of the same names.
    """

    format: str
    trunks: tuple[Trunk, ...]
    heads: tuple[str, ...] = ("fc.",)
    beside: tuple[str, ...] = ()
    rename: Callable[[str], str] = str
    join: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    landmark: str | None = None
    evidence: str | None = None

    def matches(self, tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
        """Tell whether a file may be one of these."""
        return (self.evidence is None or self.evidence in tree) and bool(self.found(tree))

    def found(self, tree: Mapping[str, Any]) -> list[Trunk]:
        """Return the trunks that a file holds."""
        return [trunk for trunk in self.trunks if self._is_there(tree, trunk)]

    def read(
        self, path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None
    ) -> Source:
        """Read the wanted trunk, by default the first there is.

        Raises:
            DensebenchError: The file holds none, its architecture is not served, or it contradicts itself.
            UsageError: The wanted one is not there.
        """
        found = self.found(tree)
        if not found:
            raise DensebenchError(f"{path} does not hold a network as {self.format} saves it.")
        if wanted is not None and wanted not in [trunk.name for trunk in found]:
            raise unknown("trunk", wanted, [trunk.name for trunk in found])
        taken = next(trunk for trunk in found if wanted in (None, trunk.name))
        if wanted is None:
            self._hold_to_the_order(path, tree, taken)
        named = self.join(self._trunk(tree, taken))
        arch = backbones.identify(named)
        library = arch and backbones.library_of(arch, named)
        if not arch or not library:
            raise unserved.refusal(f"{path}: the {taken.name} of this {self.format} file", named)
        heads = (*self.heads, *backbones.family(arch).heads)
        tensors, notes = fill_counters({name: one for name, one in named.items() if not name.startswith(heads)})
        if len(found) > 1:
            others = ", ".join(trunk.name for trunk in found if trunk is not taken)
            notes.append(f"The {taken.name} was taken; the file also holds: {others} (--trunk takes another).")
        state = _inside(tree, taken.container)
        self._hold_to_its_doubles(path, state, taken)
        behind = tuple(taken.prefix + head for head in heads)
        dropped, leftover = self._others(state, taken, behind)
        dropped += [".".join((*taken.container[:depth], str(key))) for depth, key in _siblings(tree, taken.container)]
        network, stage_maps = built_by(library, arch, tensors)
        return Source(
            format=self.format,
            arch=arch,
            tensors={**tensors, **leftover},
            dropped={name: self._reason(name, taken, behind) for name in dropped},
            network=network,
            stage_maps=stage_maps,
            notes=notes,
            trunk=taken.name,
            candidates=[trunk.name for trunk in found],
            why=_why(wanted, len(found)),
            evidence=f"'{'.'.join((*taken.container, ''))}{taken.prefix}' begins the names of a trunk"
            + (f", and '{self.evidence}' is there" if self.evidence else ""),
        )

    def _reason(self, name: str, taken: Trunk, heads: tuple[str, ...]) -> str:
        """Say why a name is left out."""
        if name.startswith(heads):
            return "head of the trunk"
        if name.startswith(taken.doubles):
            return "the trunk's tensors a second time"
        other = next((trunk for trunk in self.trunks if trunk != taken and name.startswith(trunk.prefix)), None)
        if other is not None and other.container == taken.container and other.prefix:
            return f"another network ({other.name})"
        return "beside the trunk" if name.startswith(self.beside) else NO_WEIGHT

    def _is_there(self, tree: Mapping[str, Any], trunk: Trunk) -> bool:
        if self.landmark is not None:
            return trunk.prefix + self.landmark in _inside(tree, trunk.container)
        return not self._trunk(tree, trunk).keys().isdisjoint(backbones.landmarks())

    def _hold_to_the_order(self, path: Path, tree: Mapping[str, Any], taken: Trunk) -> None:
        """Refuse to take a network only because a better one is damaged."""
        for better in self.trunks[: self.trunks.index(taken)]:
            named = (better.prefix if better.container == taken.container else "",)
            if any(is_tensor(one) and name.startswith(named) for name, one in _inside(tree, better.container).items()):
                raise UsageError(
                    f"{path} holds a {better.name} that is not whole: no network is behind '{better.prefix}'.",
                    f"--trunk {taken.name} takes the {taken.name} instead.",
                )

    def _trunk(self, tree: Mapping[str, Any], trunk: Trunk) -> dict[str, Tensor]:
        """Return a trunk's tensors, its head's among them, under plain names."""
        start = trunk.prefix
        return {
            self.rename(name.removeprefix(start)): value
            for name, value in _inside(tree, trunk.container).items()
            if name.startswith(start) and is_tensor(value)
        }

    def _others(
        self, state: Mapping[str, Any], taken: Trunk, heads: tuple[str, ...]
    ) -> tuple[list[str], dict[str, Tensor]]:
        """Return the names that are left out on purpose, and the tensors that nobody knows."""
        known = tuple(
            prefix
            for trunk in self.trunks
            if trunk.container == taken.container and trunk is not taken
            for prefix in (trunk.prefix, *trunk.doubles)
            if prefix
        )
        known += (*self.beside, *taken.doubles, *heads)
        dropped, leftover = [], {}
        for name, value in state.items():
            if is_tensor(value) and name.startswith(taken.prefix) and not name.startswith(heads):
                continue
            if not is_tensor(value) or name.startswith(known):
                dropped.append(name)
            else:
                leftover[name] = value
        return dropped, leftover

    def _hold_to_its_doubles(self, path: Path, state: Mapping[str, Any], taken: Trunk) -> None:
        for start in taken.doubles:
            for name, value in state.items():
                first = taken.prefix + name.removeprefix(start)
                if name.startswith(start) and first in state and not _equal(state[first], value):
                    raise DensebenchError(f"{path} contradicts itself: '{name}' and '{first}' should be one tensor.")


def _equal(one: Any, other: Any) -> bool:
    if not is_tensor(one) or not is_tensor(other):
        return False
    if isinstance(one, Stored) or isinstance(other, Stored):  # only described: their numbers are not read
        return bool(one.shape == other.shape)
    import torch

    return torch.equal(one, other)


def _inside(tree: Mapping[str, Any], container: Sequence[str]) -> dict[str, Any]:
    inner: Any = tree
    for key in container:
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return {str(name): value for name, value in inner.items()} if isinstance(inner, Mapping) else {}


def _siblings(tree: Mapping[str, Any], container: Sequence[str]) -> list[tuple[int, Any]]:
    """Return what stands beside each container on the way in, with its depth."""
    found: list[tuple[int, Any]] = []
    for depth, key in enumerate(container):
        found += [(depth, other) for other in tree if other != key]
        tree = tree[key]
    return found


def _why(wanted: str | None, count: int) -> str:
    if wanted is not None:
        return "it was asked for"
    return "the authors release or evaluate it" if count > 1 else "the only one"
