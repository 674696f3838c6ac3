"""What can be wrong with a file: damage to what is in it, and damage to its bytes."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import torch

from benchmark import intake

from .formats import File, build
from .networks import FIRST, FULL, OWN_SIDE, SMALL, network


def clean(made: File, random: Random, trap: str) -> None:
    """Nothing is wrong."""


def drop(made: File, random: Random, trap: str) -> None:
    """Some of the network's tensors are lost."""
    state, names = made.state()
    for name in random.sample(names, random.randint(1, 3)):
        del state[name]


def drop_first(made: File, random: Random, trap: str) -> None:
    """The first convolution, by which networks are found, is lost."""
    del made.state()[0][_first(made)]


def drop_block(made: File, random: Random, trap: str) -> None:
    """A whole part of the network is lost."""
    state, _ = made.state()
    ways = made.places[0].ways
    part = random.choice([name for name in ways if name.count(".") > 1]).rpartition(".")[0].rpartition(".")[0]
    for its, way in ways.items():
        if its.startswith(f"{part}."):
            del state[way[-1]]


def rename(made: File, random: Random, trap: str) -> None:
    """Some of the network's tensors get other names."""
    state, names = made.state()
    for name in random.sample(names, random.randint(1, 3)):
        state[random.choice((name[:-1], f"module.{name}", name.replace("1", "2", 1) + "x"))] = state.pop(name)


def rename_prefix(made: File, random: Random, trap: str) -> None:
    """The whole network stands behind another prefix: it is the same network still."""
    state, names = made.state()
    for name in names:
        state[f"x{name}"] = state.pop(name)
    ways = made.places[0].ways
    for its, way in ways.items():
        ways[its] = (*way[:-1], f"x{way[-1]}")


def swap_names(made: File, random: Random, trap: str) -> None:
    """Two tensors change places, in the file too: what is certified must have them changed."""
    state, names = made.state()
    shapes = Counter(tuple(state[name].shape) for name in names)
    name = random.choice([name for name in names if shapes[tuple(state[name].shape)] > 1])
    other = random.choice([one for one in names if one != name and state[one].shape == state[name].shape])
    state[name], state[other] = state[other], state[name]


def transpose(made: File, random: Random, trap: str) -> None:
    """A kernel or a matrix is transposed, which may or may not change its shape."""
    state, names = made.state()
    name = random.choice([name for name in names if len(state[name].shape) in (2, 4)])
    whole = len(state[name].shape) == 2 or random.choice((True, False))
    state[name] = state[name].swapaxes(0, 1) if whole else state[name].swapaxes(2, 3)


def not_finite(made: File, random: Random, trap: str) -> None:
    """A tensor holds NaN or infinity, or numbers that overflow."""
    state, names = made.state()
    name = random.choice([name for name in names if "tracked" not in name])
    state[name] = state[name] * random.choice((float("nan"), float("inf"), 1e38))


def one_nan(made: File, random: Random, trap: str) -> None:
    """A single number is NaN."""
    state, names = made.state()
    name = random.choice([name for name in names if "tracked" not in name])
    tensor = torch.as_tensor(state[name]).clone()
    tensor.view(-1)[random.randrange(tensor.numel())] = float("nan")
    state[name] = _kept(made, tensor)


def dead(made: File, random: Random, trap: str) -> None:
    """The first convolution is zero."""
    state, _ = made.state()
    state[_first(made)] = state[_first(made)] * 0


def other_type(made: File, random: Random, trap: str) -> None:
    """A tensor is of another type."""
    state, names = made.state()
    name = random.choice(names)
    tensor = torch.as_tensor(state[name])
    state[name] = _kept(made, tensor.to(random.choice((torch.half, torch.double, torch.int32, torch.bool))))


def add(made: File, random: Random, trap: str) -> None:
    """A tensor too many."""
    state, names = made.state()
    name = random.choice(names)
    state[random.choice((f"{name}.extra", f"{name}2", "stranger.weight"))] = state[name]


def mix(made: File, random: Random, trap: str) -> None:
    """Half of the network comes from another one, in the file too."""
    state, names = made.state()
    for name, its in zip(names, made.original, strict=True):
        other = network(made.arch, 7, OWN_SIDE if made.kind == "densebench" else 0)[its]
        if random.choice((True, False)):
            state[name] = _kept(made, other)


def two_formats(made: File, random: Random, trap: str) -> None:
    """Another code base's file, of this or of another architecture, is merged into this one."""
    archs = SMALL if made.arch in SMALL else FULL
    other = build(random.choice(archs), random)
    while other.container == "pickle":
        other = build(random.choice(archs), random)
    if made.container in ("safetensors", "ours", "folder", "pickle"):
        other.tree = {f"other.{name}": _kept(made, tensor) for name, tensor in network(made.arch, 7).items()}
        other.places = []
    inner = isinstance(made.tree.get("state_dict"), dict) and isinstance(other.tree.get("state_dict"), dict)
    if inner and random.choice((True, False)):
        made.tree["state_dict"] |= other.tree["state_dict"]
    else:
        made.tree |= other.tree
    made.places += other.places


def wrong_arch(made: File, random: Random, trap: str) -> None:
    """Another architecture is asked for."""
    archs = ("resnet152", "resnet34", "resnet101", "vit_small_patch16", "vit_tiny_patch8", "convnext_tiny")
    made.options["arch"] = random.choice(archs)


def wrong_format(made: File, random: Random, trap: str) -> None:
    """A format is named, mostly a wrong one."""
    made.options["format"] = random.choice(intake.names())


def wrong_trunk(made: File, random: Random, trap: str) -> None:
    """A network is asked for that is not there."""
    made.options["trunk"] = random.choice(("studnet", "backbone2", ""))


class Hostile:
    """Makes a folder when a careless reader opens it."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def hostile(made: File, random: Random, trap: str) -> None:
    """The pickle would run code."""
    if made.container in ("safetensors", "ours", "folder"):
        made.container = "zip"
    calls = ((os.mkdir, trap), (os.system, f"mkdir {trap}"), (eval, f"__import__('os').mkdir({trap!r})"))
    one: Any = Hostile(*random.choice(calls))
    for _ in range(random.randint(0, 2)):
        one = random.choice(([one], {"a": one}, Hostile(list, [one]), Hostile(dict, {"a": one})))
    state, names = made.state()
    place = random.choice(("beside", "within", "instead"))
    if place == "beside":
        made.tree["optimizer"] = one
    else:
        state["more" if place == "within" else random.choice(names)] = one


def _first(made: File) -> str:
    """Return the first convolution's name in the file."""
    ways = made.places[0].ways
    return next(ways[name][-1] for name in FIRST if name in ways)


def _kept(made: File, tensor: torch.Tensor) -> Any:
    return tensor.numpy() if made.container == "pickle" else tensor


# ---- damage to the bytes


def truncate(content: bytearray, random: Random) -> None:
    """The end is missing."""
    del content[random.randrange(len(content)) :]


def flip(content: bytearray, random: Random) -> None:
    """A few bits are flipped, near the beginning or the end as often as anywhere."""
    spots = (len(content), min(len(content), 4096), min(len(content), 60_000))
    for _ in range(random.randint(1, 8)):
        place = random.randrange(random.choice(spots))
        content[-1 - place if random.choice((True, False)) else place] ^= 1 << random.randrange(8)


def blank(content: bytearray, random: Random) -> None:
    """Some bytes are zero."""
    start = random.randrange(len(content))
    length = min(random.randint(1, 5000), len(content) - start)
    content[start : start + length] = bytes(length)


def cut_out(content: bytearray, random: Random) -> None:
    """Some bytes in the middle are missing."""
    start = random.randrange(len(content))
    del content[start : start + random.randint(1, 5000)]


TREES = (
    *(clean, drop, drop_first, drop_block, rename, rename_prefix, swap_names, transpose, not_finite, one_nan, dead),
    *(other_type, add, mix, two_formats, wrong_arch, wrong_format, wrong_trunk, hostile),
)
BYTES = (truncate, flip, flip, blank, cut_out)
