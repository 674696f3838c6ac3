"""What intake hands on: a foreign checkpoint's trunk under its own names, and the network it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pretrain.stored import Stored, is_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

    Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]
    Network = Callable[[], nn.Module]
    StageMaps = Callable[[nn.Module, Tensor], list[Tensor]]

Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (123.675, 116.28, 103.53)
IMAGENET_STD: Triple = (58.395, 57.12, 57.375)
NO_WEIGHT = "no weight of the network"  # why most names are left out


@dataclass(frozen=True)
class Source:
    """A checkpoint as its format understands it.

    Attributes:
        format: The naming format, such as "torchvision".
        arch: The architecture that the tensors' names show.
        tensors: The trunk, plus whatever the format does not know, under the source's names without a prefix.
        dropped: Names that are left out on purpose, as they stand in the file, and why.
        network: Builds the source's own network in eval mode, with every tensor of the file loaded strictly.
        stage_maps: Runs the network on images (B, 3, H, W) and returns the four stages' maps, finest first.
        mean: Input mean in units of 0..255.
        std: Input standard deviation in units of 0..255.
        channel_order: "RGB" or "BGR".
        meta: What the file says of its pretraining; empty for a stranger's file.
        notes: What happened on the way that one should know, a sentence each.
        trunk: The network that was taken, where the file's names tell several apart.
        candidates: All networks that the file holds.
        why: Why this one was taken.
        evidence: What tells the format.
        assumed: Nothing states `mean`, `std` and `channel_order`: ImageNet's were taken.
        traits: What the network has beyond its architecture and a converted backbone must have, such as
            `{"padding": "same"}`; handed to the family's `config`.
        reread: Where the network's own names are not those of `tensors`: takes a function that changes the file's
            tensors, and returns the network and `tensors` of the changed ones.
    """

    format: str
    arch: str
    tensors: dict[str, Tensor]
    dropped: dict[str, str]
    network: Network
    stage_maps: StageMaps
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    channel_order: str = "RGB"
    assumed: bool = False
    meta: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trunk: str = ""
    candidates: list[str] = field(default_factory=list)
    why: str = "the only one"
    evidence: str = ""
    traits: dict[str, Any] = field(default_factory=dict)
    reread: Callable[[Change], tuple[nn.Module, dict[str, Tensor]]] | None = None


@dataclass(frozen=True)
class StateDict:
    """A file's named tensors, out of their container and without DistributedDataParallel's prefix.

    Attributes:
        tensors: Names to tensors. A name that lacks the others' prefix is marked, so that it fits nothing.
        prefix: The prefix taken off: "" or "module.".
        beside: What else is in the file: values that are no tensors, and what stands beside the container.
    """

    tensors: dict[str, Tensor]
    prefix: str
    beside: list[str]


def built_by(library: str, arch: str, tensors: Mapping[str, Tensor]) -> tuple[Network, StageMaps]:
    """Return a Source's `network` and `stage_maps`: the network that "timm" or "torchvision" builds of the tensors.

    They are plain names, the classifier's among them; torch and the library are imported when it is built.
    """

    def network() -> nn.Module:
        from benchmark import library as libraries

        return libraries.network(library, arch, tensors)

    def stage_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
        from benchmark import library as libraries

        return libraries.stage_maps(library, arch, network, images)

    return network, stage_maps


def open_state_dict(tree: Mapping[str, Any], containers: Sequence[str], landmarks: Sequence[str]) -> StateDict | None:
    """Find the state dict in a file's tree.

    Args:
        tree: The file's tree, as `pretrain.checkpoint.read_tensors` returns it.
        containers: Keys under which it may stand, best first; a flat file is its own state dict.
        landmarks: Tensors of which one tells that it is one, such as "conv1.weight".

    Returns:
        The first that has a landmark, plain or under the prefix; None where there is none.
    """
    for container in (*containers, None):
        state = tree if container is None else tree.get(container)
        if not isinstance(state, Mapping):
            continue
        tensors = {str(name): value for name, value in state.items() if is_tensor(value)}
        starts = [prefix for prefix in ("", "module.") for landmark in landmarks if prefix + landmark in tensors]
        prefix = starts[0] if starts else None
        if prefix is not None:
            beside = [str(name) for name in state if str(name) not in tensors]
            if container is not None:
                beside += [str(key) for key in tree if key != container]
            return StateDict(_without(prefix, tensors), prefix, beside)
    return None


def _without(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix) if name.startswith(prefix) else f"{name} (without {prefix})": tensor
        for name, tensor in tensors.items()
    }


def fill_counters(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Add batch norm's `num_batches_tracked`, which files older than torch 0.4.1 lack, where all are absent.

    Returns:
        The tensors, and a note where something was added. A file that lacks only some lost them: it stays so.
    """
    if any(name.endswith("num_batches_tracked") for name in tensors):
        return dict(tensors), []
    norms = [name.removesuffix("running_mean") for name in tensors if name.endswith(".running_mean")]
    counters = {f"{norm}num_batches_tracked": _zero(like=tensors) for norm in norms}
    note = f"The file has no num_batches_tracked: {len(norms)} counters were set to 0."
    return {**tensors, **counters}, [note] if norms else []


def _zero(like: Mapping[str, Any]) -> Any:
    zero = Stored((), "int64", (), bytes(8))
    return zero if any(isinstance(tensor, Stored) for tensor in like.values()) else zero.tensor()


def tensor_names(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return every tensor of a tree under its full name, containers and names joined by dots."""
    found: dict[str, Tensor] = {}
    for name, value in tree.items():
        if is_tensor(value):
            found[str(name)] = value
        elif isinstance(value, Mapping):
            found |= {f"{name}.{inner}": tensor for inner, tensor in tensor_names(value).items()}
    return found
