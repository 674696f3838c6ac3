"""Networks as Hugging Face's transformers publish them: one family a file, read by intake and written by the outlet.

A family has
- `NAMING`: how its files name tensors, and the timm or torchvision names of these;
- `MODELS`: transformers' `model_type` -> the class of the network without a head;
- `kind(tensors)`: the `model_type` that plain names show where no configuration does;
- `settings(kind, arch, state)`: the configuration of an mm* trunk under transformers' names;
- `EPS`: transformers' default of `layer_norm_eps`, by `model_type`; `EPS_TRAIT`: what our backbone calls it;
- `TRAITS`: what else a network may have beyond its architecture to be written;
- `published(state, kind)`: an mm* trunk's tensors under the names of transformers' files;
- `stage_maps(network, images)`: the four maps of transformers' own network.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark import backbones
from pretrain.errors import DensebenchError

_FREE = ("architectures", "layer_norm_eps", "layer_scale_init_value")  # whatever they say is built


def families() -> list[ModuleType]:
    """Return the families."""
    return [importlib.import_module(f"{__name__}.{item.name}") for item in pkgutil.iter_modules(__path__)]


def family_of(tree: Mapping[str, Any]) -> ModuleType | None:
    """Return the family whose names a file has; None where there is none."""
    return next((family for family in families() if family.NAMING.matches(tree, {})), None)


def settings(
    path: Path, family: ModuleType, arch: str, tensors: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the `model_type` of a file's network, and the configuration that it is built with.

    Args:
        path: The file, for messages.
        family: Its family.
        arch: Its architecture.
        tensors: Its tensors under plain names.
        config: What its `config.json` says; {} where there is none. What it does not say is as published.

    Raises:
        DensebenchError: The configuration names a network that computes something else with these tensors.
    """
    kind = str(config.get("model_type", family.kind(tensors)))
    if kind not in family.MODELS:
        raise DensebenchError(
            f"{path}: its configuration says that it is a '{kind[:60]}', which is not served.",
            f"Served of transformers' models: {', '.join(name for one in families() for name in one.MODELS)}.",
        )
    ours = backbones.family(arch)
    state = {ours.rename(name): one for name, one in tensors.items()}
    wanted = {name: value for name, value in family.settings(kind, arch, state).items() if value is not None}
    for name, value in wanted.items():
        if name not in _FREE and name in config and _plain(config[name]) != value:
            raise DensebenchError(
                f"{path}: its configuration says {name} = {str(config[name])[:60]}, and {value} was expected of a "
                f"{arch} with these tensors: the network computes something else."
            )
    eps = config.get("layer_norm_eps", family.EPS.get(kind))
    if eps is None:
        return kind, wanted
    if type(eps) not in (int, float) or not 0 < eps < 1:
        raise DensebenchError(
            f"{path}: its configuration says layer_norm_eps = {str(eps)[:60]}; a small number was expected."
        )
    return kind, {**wanted, "layer_norm_eps": float(eps)}


def _plain(value: Any) -> Any:
    """Return a side that is given twice, as [16, 16], once."""
    return value[0] if isinstance(value, list) and len(value) == 2 and value[0] == value[1] else value
