"""Reading checkpoints of any origin: one naming format a file; the file's name is the format's name.

A format has `matches(tree, metadata)` and `read(path, tree, metadata, wanted)`, where `wanted` names one of several
networks in a file. Where its names are those of plainer
formats and only the container tells them apart, `REFINES` names these, and they stand back.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pretrain.errors import DensebenchError, UsageError, unknown
from pretrain.files import read_object

if TYPE_CHECKING:
    from benchmark.source import Source

LAST = ("lightning", "general")  # asked in this order where no other format fits
# Where trainers keep averaged weights beside the plain ones: timm's, and those of DeiT and ConvNeXt.
# NOTE: mmengine's `ema_state_dict` is none, for its hook swaps the two before it saves.
AVERAGES = ("state_dict_ema", "model_ema")

__all__ = ["beside", "detect", "fits", "load", "names", "no_format", "read", "single"]


def names() -> list[str]:
    """Return the formats that can be read."""
    return list(_files())


@functools.cache
def _files() -> tuple[str, ...]:
    return tuple(sorted(item.name for item in pkgutil.iter_modules(__path__)))


def load(name: str) -> ModuleType:
    """Return the format of this name.

    Raises:
        UsageError: There is no such format.
    """
    if name not in names():
        raise unknown("format", name, names())
    return importlib.import_module(f"{__name__}.{name}")


def detect(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> ModuleType:
    """Return the format that a file's tensors are named in.

    Args:
        path: The file, for messages.
        tree: Its tensors and plain data, as `pretrain.checkpoint.read_tensors` returns them.
        metadata: Its metadata, likewise.

    Raises:
        DensebenchError: No format fits.
        UsageError: Several fit.
    """
    fitting = {name: load(name) for name in fits(tree, metadata)}
    refined = {name for module in fitting.values() for name in getattr(module, "REFINES", ())}
    found = [module for name, module in fitting.items() if name not in refined]
    if len(found) > 1:
        raise UsageError(f"{path} fits several formats: {', '.join(fitting)}.", "Name one with --format.")
    if found:
        return found[0]
    for name in LAST:
        if load(name).matches(tree, metadata):
            return load(name)
    raise no_format(path, tree)


def read(
    path: Path,
    tree: Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    format: str | None = None,
    trunk: str | None = None,
) -> Source:
    """Read a file's trunk.

    Args:
        path: The file, for messages.
        tree: Its tensors and plain data.
        metadata: Its metadata.
        format: The naming format; by default it is found out.
        trunk: Which of the file's networks; by default the one that its authors evaluate.

    Raises:
        DensebenchError: The file fits no format, or is not whole.
        UsageError: There is no such format or trunk, or the file leaves it open which weights are meant.
    """
    module = load(format) if format else detect(path, tree, metadata)
    source: Source = module.read(path, tree, metadata, trunk)
    if trunk is None:
        _hold_to_the_averages(path, tree, source)
    return source


def _hold_to_the_averages(path: Path, tree: Mapping[str, Any], source: Source) -> None:
    """Refuse to pass over averaged weights, which are those to evaluate, without being told to."""
    from benchmark.source import tensor_names

    passed = [name for name in AVERAGES if name in source.dropped and tensor_names({name: tree[name]})]
    if not passed:
        return
    places = load("general").places(tree)
    mend = f"--format general --trunk takes one of: {', '.join(places)}."
    if not places:
        mend = f"--trunk {source.trunk} takes those beside them."
    raise UsageError(
        f"{path} holds averaged weights under '{passed[0]}', which the format {source.format} passes over.", mend
    )


def fits(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    """Return the described formats that a file's names fit, those included that stand back."""
    return [name for name in names() if name not in LAST and load(name).matches(tree, metadata)]


def single(path: Path, wanted: str | None) -> None:
    """Refuse a choice between networks for a format whose files hold one.

    Raises:
        UsageError: One is wanted.
    """
    if wanted is not None:
        raise UsageError(f"{path} holds one network, not several of which '{wanted}' could be one.", "Drop --trunk.")


def beside(path: Path, name: str) -> dict[str, Any]:
    """Return the JSON object `name` that lies beside a checkpoint, or in one that is a folder; {} where none does."""
    try:
        return read_object((path if path.is_dir() else path.parent) / name)
    except DensebenchError:
        return {}


def no_format(path: Path, tree: Mapping[str, Any]) -> DensebenchError:
    """Describe a file whose tensors are named in no known way, with the prefix before its trunk."""
    from benchmark import backbones, unserved
    from benchmark.source import tensor_names

    known = f"Formats that can be read: {', '.join(names())}."
    tensors = tensor_names(tree)
    if not tensors:
        return DensebenchError(f"{path} holds no tensors.", known)
    if any(name.startswith(("_modules.", "_parameters.")) or "._modules." in name for name in tensors):
        return DensebenchError(
            f"{path} is a whole pickled module.", "Save its tensors alone: torch.save(model.state_dict(), ...)."
        )
    if unserved.seen(tensors):
        return unserved.refusal(f"{path}: its network", tensors)
    firsts = {name: end for name in tensors for end in backbones.landmarks() if name.endswith(end)}
    first = min(firsts or tensors, key=len)
    end = firsts.get(first, first)
    prefix = first.removesuffix(end)
    where = f"'{end}' stands behind the prefix '{prefix}'" if prefix else f"the first is '{first}'"
    return DensebenchError(f"{path} names its {len(tensors)} tensors in no known format: {where}.", known)
