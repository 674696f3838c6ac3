"""Hugging Face's own networks, built from a configuration and loaded strictly: what a conversion is held against.

transformers is a large package, and only needed for this proof: it is imported when a network is built.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_IDLE = ("num_batches_tracked", "mask_token")  # play no role in eval mode


def network(name: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a network of transformers in eval mode with the very tensors of a file.

    Args:
        name: Its class, such as "Dinov2Model".
        settings: Its configuration under transformers' names.
        tensors: All its tensors, as transformers' files name them without the prefix of a head's network.

    Raises:
        RuntimeError: A tensor is missing, left over, or of another shape.
    """
    with _silent() as transformers:
        kind = getattr(transformers, name)
        config = kind.config_class(**settings)
        options = {"add_pooling_layer": False} if name == "ViTModel" else {}
        # Without a path nothing is looked for on a disk or in a net: the tensors are the only source.
        made, told = kind.from_pretrained(
            None,
            config=config,
            state_dict=dict(tensors),
            output_loading_info=True,
            dtype=torch.float32,
            attn_implementation="eager",
            **options,
        )
    missing = [key for key in told["missing_keys"] if not key.endswith(_IDLE)]
    wrong = {"missing": missing, "left over": told["unexpected_keys"], "of another shape": told["mismatched_keys"]}
    if any(wrong.values()):
        listed = "; ".join(f"{what}: {', '.join(map(str, sorted(names)))}" for what, names in wrong.items() if names)
        raise RuntimeError(f"transformers' {name} does not take the tensors, {listed}")
    loaded: nn.Module = made.eval()
    return loaded


@contextlib.contextmanager
def _silent() -> Iterator[Any]:
    """Import transformers, and hold back its progress bars and its reports in a block."""
    transformers = importlib.import_module("transformers")
    logging: Any = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
