"""Checking a certificate again: that of a converted file against its tensors, that of a record against the record."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import backbones
from benchmark.certificate import THRESHOLD, Certificate
from benchmark.restated import stated
from pretrain import checkpoint, tensor_file
from pretrain.errors import DensebenchError
from pretrain.files import read_object


@dataclass(frozen=True)
class Recheck:
    """A certificate that holds.

    Attributes:
        path: Where it stands.
        certificate: The certificate.
        tensors: Tensors whose digest was computed anew; 0 for a record, which has none.
    """

    path: str
    certificate: Certificate
    tensors: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"path": self.path, "tensors": self.tensors, "certificate": self.certificate.to_dict()}

    def report(self) -> str:
        """Return the finding as lines of text."""
        what = f"the digest of its {self.tensors} tensors is the certificate's"
        if not self.tensors:
            what = "a record: what it states agrees with itself; it has no tensors to digest"
        return f"{self.certificate.report()}\nholds: {self.path} ({what})"


def recheck(path: Path) -> Recheck:
    """Check the certificate of a converted file, or of a record (`.json`), once more.

    Raises:
        DensebenchError: There is none, or it does not hold; the message says why.
    """
    path = Path(path)
    if path.suffix == ".json":
        return _record(path)
    contents = tensor_file.read(path)
    values = stated(path, contents.metadata)
    if values is None:
        raise DensebenchError(
            f"{path} carries no certificate.", "`densebench convert` writes one into the files that it converts."
        )
    certificate = _certificate(path, values["certificate"])
    tree = checkpoint.tensors_of(path, contents)
    tensors = tree.get("state_dict", tree)
    faults = _faults(certificate)
    if len(tensors) != certificate.filled:
        faults.append(f"The file has {len(tensors)} tensors, and {certificate.filled} were certified.")
    found = checkpoint.digest(tensors)
    if not certificate.digest.startswith("random:") and found != certificate.digest:
        faults.append(f"Its tensors have the digest {found[:16]}..., and {certificate.digest[:16]}... was certified.")
    return _held(path, certificate, faults, len(tensors))


def _record(path: Path) -> Recheck:
    record = read_object(path, what="a record")
    if "certificate" not in record:
        raise DensebenchError(f"{path} is not a record: it has no entry 'certificate'.")
    values = record["certificate"]
    if values is None:
        raise DensebenchError(f"{path} is a record without a certificate.")
    certificate = _certificate(path, values)
    faults = _faults(certificate)
    if values.get("ok") is not certificate.ok:
        faults.append("Its verdict and its reasons contradict each other.")
    for name, expected in (("weights", certificate.digest), ("arch", certificate.arch)):
        if record.get(name) != expected:
            faults.append(f"The record has the {name} {record.get(name)}, and {expected} was certified.")
    return _held(path, certificate, faults, 0)


def _certificate(path: Path, values: Any) -> Certificate:
    try:
        return Certificate.from_dict(values)
    except ValueError as error:
        raise DensebenchError(f"{path} has a certificate that cannot be read: {error}.") from error


def _held(path: Path, certificate: Certificate, faults: list[str], tensors: int) -> Recheck:
    if faults:
        raise DensebenchError(f"The certificate of {path} does not hold. {' '.join(faults)}")
    return Recheck(str(path), certificate, tensors)


def _faults(certificate: Certificate) -> list[str]:
    """Say what a certificate itself shows to be wrong, a sentence each."""
    faults = [f"It was refused: {reason}" for reason in certificate.reasons]
    for what in ("missing", "leftover", "mismatched", "nonfinite"):
        names = getattr(certificate, what)
        if names:
            faults.append(f"It lists {len(names)} tensors as {what}.")
    if certificate.untrained and not certificate.allow_untrained:
        faults.append("The network is untrained, and nobody allowed that.")
    if certificate.threshold > THRESHOLD:
        faults.append(f"Its threshold is {certificate.threshold:g}; at most {THRESHOLD:g} is accepted.")
    own, probe = ([row for row in certificate.parity if row["weights"] == kind] for kind in ("own", "probe"))
    if not own or [row["stage"] for row in own] != [row["stage"] for row in probe]:
        faults.append("It does not compare the feature maps of every stage with own and with probing weights.")
    apart = [row["stage"] for row in certificate.parity if not _agrees(row["max_rel"])]
    if apart:
        faults.append(f"The feature maps differ by more than {THRESHOLD:g}: {', '.join(apart)}.")
    if not re.fullmatch(r"[0-9a-f]{64}|random:\w+:\w+", certificate.digest):
        faults.append(f"Its digest is none: '{certificate.digest[:40]}'.")
    if certificate.arch not in backbones.names():
        faults.append(f"Its architecture is not served: '{certificate.arch}'.")
    return faults


def _agrees(apart: float) -> bool:
    return math.isfinite(apart) and 0 <= apart <= THRESHOLD
