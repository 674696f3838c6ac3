"""DeepMind's checkpoints of Haiku: BYOL's pickles (deepmind-research/byol) and DetCon's (google-deepmind/detcon).

A network is two maps of modules, its parameters and its state: `res_net50/~/block_group_0/~/block_1/~/conv_2` has the
kernel `w` (H, W, I, O), `.../batchnorm_2` has `scale` and `offset` (1, 1, 1, C), and `.../batchnorm_2/~/mean_ema` the
`average` to normalise with, beside `hidden`, the same before it is corrected for its start at zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones
from benchmark.maps import outputs_of
from benchmark.source import NO_WEIGHT, Source, fill_counters
from pretrain.errors import DensebenchError, unknown
from pretrain.stored import Stored, is_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

# What a BYOL experiment keeps, in the order of its named tuple, whose field names are not in the pickle.
FIELDS = ("online_params", "target_params", "online_state", "target_state", "opt_state")
_STEM = re.compile(r"(?P<prefix>(?:.+/)?)initial_(?P<kind>conv|batchnorm)(?:_1)?(?P<ema>/~/(?:mean|var)_ema)?")
_BLOCK = re.compile(
    r"block_group_(?P<group>\d)/~/block_(?P<block>\d+)/~/(?P<shortcut>shortcut_)?(?P<kind>conv|batchnorm)"
    r"(?:_(?P<number>\d))?(?P<ema>/~/(?:mean|var)_ema)?"
)
_ARRAYS = {"w": "weight", "scale": "weight", "offset": "bias"}


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell whether there is a map of modules with Haiku's names for a ResNet's stem."""
    return any(_prefix(modules) is not None for modules in _networks(tree).values())


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Read the online network, which BYOL's authors evaluate, or the wanted one.

    Raises:
        DensebenchError: There is no network, its architecture is not served, or it is a pre-activation ResNet.
        UsageError: The wanted one is not there.
    """
    networks = {name: modules for name, modules in _networks(tree).items() if _prefix(modules) is not None}
    if not networks:
        raise DensebenchError(f"{path} does not hold a network as Haiku saves it.")
    if wanted is not None and wanted not in networks:
        raise unknown("trunk", wanted, list(networks))
    taken = wanted or next((name for name in networks if name.startswith("online")), next(iter(networks)))
    modules = networks[taken]
    prefix = _prefix(modules) or ""
    tensors, dropped = _tensors(modules, prefix)
    if f"{prefix}final_batchnorm" in modules:
        raise DensebenchError(f"{path} holds a pre-activation ResNet (resnet_v2), which no mm* backbone computes.")
    tensors, notes = fill_counters(tensors)
    arch = backbones.identify(tensors)
    if arch is None:
        raise DensebenchError(
            f"{path}: the {taken} network of this Haiku file is of no architecture that is served.",
            f"Served: {', '.join(backbones.names())}.",
        )
    others = [name for name in networks if name != taken]
    if others:
        notes.append(f"The {taken} was taken; the file also holds: {', '.join(others)} (--trunk takes another).")
    notes.append("The network pads as TensorFlow does (SAME): it becomes a ResNet that does so, not a plain one.")
    return Source(
        format="haiku",
        arch=arch,
        tensors=tensors,
        dropped=dict.fromkeys([*dropped, *(f"{name}.*" for name in others)], NO_WEIGHT),
        network=lambda: _network(arch, tensors),
        stage_maps=outputs_of("layer1", "layer2", "layer3", "layer4"),
        notes=notes,
        traits={"padding": "same"},
    )


def _network(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    from benchmark.haiku_network import HaikuResNet

    return HaikuResNet(arch, tensors)


def _networks(tree: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the file's networks by name, each one's parameters and state in one map of modules."""
    found: dict[str, dict[str, Any]] = {}
    for path, modules in _maps(tree, ()):
        if not any(part.startswith("opt") for part in path):
            name = re.sub(r"_?(params|state)$", "", path[-1] if path else "") or "trunk"
            found.setdefault(name, {}).update(modules)
    return found


def _maps(tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every map of modules, and where it stands."""
    if any(_STEM.fullmatch(str(name)) for name in tree):
        inner = ((str(name), _unwrapped(arrays)) for name, arrays in tree.items())
        yield above, {name: arrays for name, arrays in inner if isinstance(arrays, Mapping)}
        return
    fields = set(tree) == {str(place) for place in range(len(FIELDS))}
    for key, value in tree.items():
        inside = _unwrapped(value)
        if isinstance(inside, Mapping) and len(above) < 8:
            yield from _maps(inside, (*above, FIELDS[int(key)] if fields else str(key)))


def _unwrapped(value: Any) -> Any:
    """Return what Haiku's own kind of dict holds: one that is not unpickled is its one argument, or its state."""
    while isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in ("0", "state"):
        inner = next(iter(value.values()))
        if not isinstance(inner, Mapping):
            break
        value = inner
    return value


def _prefix(modules: Mapping[str, Any]) -> str | None:
    """Return what stands before the stem's name, such as "res_net50/~/"."""
    stems = (_STEM.fullmatch(name) for name in modules)
    return next((stem["prefix"] for stem in stems if stem and stem["kind"] == "conv"), None)


def _tensors(modules: Mapping[str, Any], prefix: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the trunk under torchvision's names and in torch's layout, and the names of what is left out."""
    tensors: dict[str, Tensor] = {}
    dropped: list[str] = []
    for module, arrays in modules.items():
        place = _place(module.removeprefix(prefix)) if module.startswith(prefix) else None
        for name, array in arrays.items():
            if not is_tensor(array) or place is None or name == "hidden":
                dropped.append(f"{module}.{name}")
            elif place.endswith("_ema"):
                norm, kind = place.removesuffix("_ema").split("/")
                if name == "average":
                    tensors[f"{norm}.running_{kind}"] = _vector(array)
                elif name == "counter" and kind == "mean":
                    tensors[f"{norm}.num_batches_tracked"] = _whole(array)
                else:
                    dropped.append(f"{module}.{name}")
            else:
                tensors[f"{place}.{_ARRAYS.get(name, name)}"] = (
                    array.permute(3, 2, 0, 1).contiguous() if name == "w" and array.dim() == 4 else _vector(array)
                )
    return tensors, dropped


def _place(module: str) -> str | None:
    """Return torchvision's name of a module of the trunk: `block_group_0/~/block_1/~/conv_2` is layer1.1.conv3."""
    stem, block = _STEM.fullmatch(module), _BLOCK.fullmatch(module)
    if stem and not stem["prefix"]:
        place, ema = "conv1" if stem["kind"] == "conv" else "bn1", stem["ema"]
    elif block and (block["number"] is None) == bool(block["shortcut"]):
        kind = ("conv", "bn")[block["kind"] == "batchnorm"]
        last = f"downsample.{int(kind == 'bn')}" if block["shortcut"] else f"{kind}{int(block['number']) + 1}"
        place, ema = f"layer{int(block['group']) + 1}.{block['block']}.{last}", block["ema"]
    else:
        return None
    return place + (ema or "").removeprefix("/~")


def _vector(array: Tensor) -> Tensor:
    """Return (1, 1, 1, C) as (C,); whatever has another shape stays as it is, and will not fit."""
    return array.squeeze() if array.dim() == 4 and tuple(array.shape[:3]) == (1, 1, 1) else array


def _whole(counter: Any) -> Any:
    """Return a counter as torch counts, in int64; one that only describes a file's stays as it is."""
    return counter if isinstance(counter, Stored) else counter.long()
