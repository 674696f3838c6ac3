"""Files that `densebench convert` wrote for mm*: a trunk under mm* names, and the certificate beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import backbones
from benchmark.certificate import Certificate
from benchmark.intake import single
from benchmark.restated import stated
from benchmark.source import Source, built_by
from pretrain.errors import DensebenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

REFINES = ("convnext", "timm", "torchvision")


def matches(tree: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Tell our converted files by the certificate that they carry."""
    return "certificate_sha256" in metadata


def read(path: Path, tree: Mapping[str, Any], metadata: Mapping[str, Any], wanted: str | None = None) -> Source:
    """Give the trunk its plain names back: they are those that become the file's own when they are renamed again.

    Raises:
        DensebenchError: There is no certificate, or it is of another network than the tensors are.
    """
    single(path, wanted)
    values = stated(path, metadata)
    if values is None:
        raise DensebenchError(f"{path} carries no certificate, and so is no file that densebench converted.")
    try:
        certificate = Certificate.from_dict(values["certificate"])
    except ValueError as error:
        raise DensebenchError(f"{path} has a certificate that cannot be read: {error}.", "Convert it anew.") from error
    named: dict[str, Tensor] = tree.get("state_dict", tree)
    family = backbones.family(certificate.arch)
    tensors = {family.plain(name): tensor for name, tensor in named.items()}
    astray = next((old for old, new in zip(named, tensors, strict=False) if family.rename(new) != old), None)
    if astray is not None or len(tensors) != len(named):  # both networks would be wrong alike, and their maps agree
        raise DensebenchError(
            f"{path} has a tensor '{astray}', which is no name of a {certificate.arch}'s backbone.", "Convert it anew."
        )
    found, library = backbones.identify(tensors), backbones.library_of(certificate.arch, tensors)
    if found != certificate.arch or library is None:
        raise DensebenchError(
            f"{path} is certified as a {certificate.arch}, but its tensors are those of a {found}.", "Convert it anew."
        )
    network, stage_maps = built_by(library, certificate.arch, tensors)
    return Source(
        format="converted",
        arch=certificate.arch,
        tensors=tensors,
        dropped={},
        network=lambda: _with(certificate, network, tensors),
        stage_maps=stage_maps,
        notes=list(certificate.notes),
        evidence="the certificate that densebench writes",
        traits=certificate.traits,
    )


def _with(certificate: Certificate, network: Any, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network with the traits that its tensors do not show."""
    if certificate.traits.get("padding") == "same":
        from benchmark.haiku_network import HaikuResNet

        return HaikuResNet(certificate.arch, tensors)
    built: nn.Module = network()
    for name, module in built.named_modules():
        trait = "final_eps" if name == "head.norm" else "eps"
        if hasattr(module, "eps") and trait in certificate.traits:
            module.eps = certificate.traits[trait]
    return built
