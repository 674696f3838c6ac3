"""What a converted file says of itself beside its tensors: certificate, input normalisation, pretraining."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.normalisation import ASSUMED
from benchmark.source import Source
from pretrain.errors import DensebenchError, UsageError

if TYPE_CHECKING:
    from benchmark.certify import Backbone

ENTRIES = ("certificate", "input", "pretraining")
_SEAL = "certificate_sha256"


def statements(backbone: Backbone) -> dict[str, str]:
    """Return the metadata of a converted file, sealed against damage."""
    inputs = {"mean": backbone.mean, "std": backbone.std, "channel_order": backbone.channel_order}
    values = (backbone.certificate.to_dict(), inputs, backbone.meta)
    texts = {name: json.dumps(value, sort_keys=True) for name, value in zip(ENTRIES, values, strict=True)}
    return {**texts, _SEAL: _seal(texts)}


def stated(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a converted file states, under the names of `ENTRIES`; None of another file.

    Raises:
        DensebenchError: It is damaged.
    """
    if _SEAL not in metadata:
        return None
    try:
        texts = {name: metadata[name] for name in ENTRIES}
        if _seal(texts) != metadata[_SEAL]:
            raise ValueError("its text does not have its sha256")
        values = {name: json.loads(text) for name, text in texts.items()}
        if not all(isinstance(value, dict) for value in values.values()):
            raise ValueError("its entries are no objects")
        for name in ("mean", "std"):
            triple = tuple(float(number) for number in values["input"][name])
            if len(triple) != 3:
                raise ValueError(f"the input's {name} has not three numbers")
            values["input"][name] = triple
        if values["input"]["channel_order"] not in ("RGB", "BGR"):
            raise ValueError("the input's channel_order is neither RGB nor BGR")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DensebenchError(f"{path} has a certificate that cannot be read: {error}.", "Convert it anew.") from error
    return values


def restated(path: Path, source: Source, metadata: Mapping[str, Any], inputs: Mapping[str, Any]) -> Source:
    """Return the source with what a converted file, or else the user, states beside its tensors.

    Args:
        path: The file, for messages.
        source: What intake read.
        metadata: The file's.
        inputs: The normalisation that the user states; see `normalisation.asked`.

    Raises:
        DensebenchError: What a converted file states is damaged.
        UsageError: File and user both state the normalisation.
    """
    values = stated(path, metadata)
    if values is not None:
        source = dataclasses.replace(source, meta=values["pretraining"], **values["input"], assumed=False)
    if inputs and (values is not None or source.meta):
        raise UsageError(
            f"{path} says itself how its images are normalised.",
            "Leave out --input-mean, --input-std and --channel-order.",
        )
    if inputs:
        return dataclasses.replace(source, **inputs, assumed=False)
    return dataclasses.replace(source, notes=[*source.notes, ASSUMED]) if source.assumed else source


def _seal(texts: Mapping[str, str]) -> str:
    return hashlib.sha256("\0".join(texts[name] for name in ENTRIES).encode()).hexdigest()
