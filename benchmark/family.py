"""What the downstream half knows of an architecture family; each file of `benchmark.backbones` describes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Four = tuple[int, int, int, int]
Size = tuple[int, int]  # height and width
Resized = tuple[dict[str, "Tensor"], str]


@dataclass(frozen=True)
class Family:
    """An architecture family: how its members are told, and the mm* backbone that they become.

    Attributes:
        name: Its name, such as "resnet".
        archs: The architectures that it serves.
        landmarks: The first convolution's name, and the library whose naming it is and whose network proves a
            conversion.
        stages: What a certificate calls the four maps.
        registers: The modules that register the mm* backbones which mm* lack.
        init: What `pretrain.backbones` draws its weights from.
        rename: A source's plain name, of whichever library -> the mm* name.
        plain: An mm* name -> the plain name of one of the libraries: what `rename` did, undone.
        identify: The architecture that plain names and shapes show; None where it is none of the family's.
        config: The mm* backbone of an architecture for images of `size`, with its traits, as a protocol for ResNets
            asks: `config(arch, size=..., **traits, **asked)`.
        channels: Channels of an architecture's four maps.
        strides: Their strides where no protocol dilates them.
        heads: Beginnings of a linear classifier's names.
        values: What else `$names` of a protocol stand for.
        traits: What a network has or lacks beyond its architecture, as plain names show it; given to `config`.
        image_size: The size in pixels that position embeddings (mm* names) belong to; None where there are none.
        resized: Interpolates position embeddings to images of another size; returns the tensors and what was done.
        cuts: The last stage can be cut off for a box head.
        dilates: The last two stages can be dilated.
        eps: Of its layer norms, where it has some.
    """

    name: str
    archs: tuple[str, ...]
    landmarks: Mapping[str, str]
    stages: tuple[str, str, str, str]
    registers: tuple[str, ...]
    init: str
    rename: Callable[[str], str]
    identify: Callable[[Mapping[str, Tensor]], str | None]
    config: Callable[..., dict[str, Any]]
    channels: Callable[[str], Four]
    plain: Callable[[str], str] = str
    strides: Callable[[str], Four] = lambda arch: (4, 8, 16, 32)
    heads: tuple[str, ...] = ()
    values: Callable[[str], dict[str, Any]] = lambda arch: {}
    traits: Callable[[Mapping[str, Tensor]], dict[str, Any]] = lambda tensors: {}
    image_size: Callable[[str, Mapping[str, Tensor]], Size | None] = lambda arch, tensors: None
    resized: Callable[[str, Mapping[str, Tensor], Size], Resized] = lambda arch, tensors, size: (dict(tensors), "")
    cuts: bool = False
    dilates: bool = False
    eps: float | None = None


def renamed(name: str, table: Mapping[str, str]) -> str:
    """Return a name by a table that has it whole, or what stands before its last dot."""
    stem, dot, last = name.rpartition(".")
    return table.get(name) or (table.get(stem, stem) + dot + last)


def inverse(table: Mapping[str, str]) -> dict[str, str]:
    """Return a table that leads back."""
    return {new: old for old, new in table.items()}
