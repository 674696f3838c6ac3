"""Checkpoint -> the mm* backbone's tensors, with proof. Nothing is ever loaded leniently."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pretrain.backbones
from benchmark import backbones, destination, intake
from benchmark.certificate import Certificate
from benchmark.certify import Backbone, Target, certify
from benchmark.maps import own_maps
from benchmark.restated import restated, statements
from benchmark.source import Source
from pretrain import checkpoint, tensor_file
from pretrain.errors import DensebenchError

SUFFIXES = (".pth", ".safetensors")

__all__ = ["Backbone", "Certificate", "Target", "at_size", "check", "convert", "random_init", "require", "write"]


def convert(
    path: Path,
    *,
    to: Target = "mmdet",
    arch: str | None = None,
    allow_untrained: bool = False,
    format: str | None = None,
    trunk: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Backbone:
    """Convert a checkpoint file and certify the conversion.

    Args:
        path: A file of any format in `benchmark.intake`.
        to: The package whose backbone is to be filled.
        arch: The architecture that is expected; by default the one that the tensors show.
        allow_untrained: Let a network pass that was never trained; the certificate says so.
        format: The naming format; by default it is found out.
        trunk: Which of the file's networks; by default the one that its authors evaluate.
        inputs: The normalisation that the user states; see `normalisation.asked`.

    Returns:
        The backbone. Whether it is certified, and why not, stands in its certificate; see `require`.

    Raises:
        DensebenchError: The file cannot be read, fits no format, or is of another architecture.
        UsageError: There is no such target, architecture, format or trunk, or the file states its normalisation, too.
    """
    path = Path(path)
    if arch is not None:
        backbones.family(arch)
    contents = tensor_file.read(path)
    tree, metadata = checkpoint.tensors_of(path, contents), contents.metadata
    source = restated(path, intake.read(path, tree, metadata, format=format, trunk=trunk), metadata, inputs or {})
    if contents.inert:
        named = f"{', '.join(contents.inert[:3])}{', ...' if len(contents.inert) > 3 else ''}"
        source.notes.append(f"The file names code, which was not run: {named}.")
    if arch is not None and source.arch != arch:
        raise DensebenchError(
            f"{path} is of another architecture: found {source.arch}, expected {arch}.",
            "Drop --arch to take it for what it is, or name the file that you mean.",
        )
    whole = source.format == "torchvision" and path.is_file()  # a folder of the hub is none of torchvision's files
    known, suspicions = _published_as(path, source.arch) if whole else (None, [])
    return certify(source, to=to, allow_untrained=allow_untrained, known_file=known, suspicions=suspicions)


def random_init(arch: str, seed: int, *, to: Target = "mmdet") -> Backbone:
    """Draw the control row's backbone: the very init that pretraining starts from, anew for every seed.

    Raises:
        UsageError: There is no such architecture or target.
    """
    source = Source(
        format="random",
        arch=arch,
        tensors=pretrain.backbones.build(arch, seed).state_dict(),
        dropped={},
        network=lambda: pretrain.backbones.build(arch, seed),
        stage_maps=own_maps,
        meta={"method": "random", "seed": seed},
    )
    backbone = certify(source, to=to, allow_untrained=True)
    digest = f"random:{arch}:{backbones.family(arch).init}"
    return dataclasses.replace(backbone, certificate=dataclasses.replace(backbone.certificate, digest=digest))


def at_size(backbone: Backbone, size: tuple[int, int] | None) -> Backbone:
    """Return the backbone for images of `size` (height, width): position embeddings interpolated once, and so noted.

    The digest stays that of the checkpoint's own tensors. None, or a family without position embeddings, changes
    nothing.
    """
    family = backbones.family(backbone.arch)
    if size is None or family.image_size(backbone.arch, backbone.state) is None:
        return backbone
    state, how = family.resized(backbone.arch, backbone.state, size)
    certificate = dataclasses.replace(backbone.certificate, position_embedding=how)
    return dataclasses.replace(backbone, state=state, certificate=certificate)


def require(backbone: Backbone, target: str | None = None) -> Backbone:
    """Return the backbone if it is certified.

    Args:
        backbone: What was converted.
        target: What it was converted for; by default the certificate's own target.

    Raises:
        DensebenchError: It is not; the message gives the certificate's reasons.
    """
    if backbone.certificate.ok:
        return backbone
    reasons = " ".join(backbone.certificate.reasons)
    untrained = backbone.certificate.untrained and len(backbone.certificate.reasons) == 1
    mend = "Pass --allow-untrained if that is what you want." if untrained else ""
    if backbone.certificate.leftover and backbone.certificate.format not in ("general", "densebench"):
        mend = (
            f"If the file is not {backbone.certificate.format}'s but names its network as that does, --format general "
            "takes the network alone."
        )
    target = target or backbone.certificate.target
    raise DensebenchError(f"The {backbone.arch} is not certified for {target}. {reasons}", mend)


def check(source: Path, out: Path) -> None:
    """Refuse a file that `write` would not or should not write, before any work.

    Args:
        source: The checkpoint that is to be converted.
        out: The file.

    Raises:
        UsageError: It has another suffix, is a folder, stands in none, or is the checkpoint itself.
    """
    destination.check_file(out, SUFFIXES)
    destination.check_apart(source, out)


def write(backbone: Backbone, path: Path) -> None:
    """Write a certified backbone as a file that mm*'s `init_cfg=dict(type="Pretrained")` reads.

    Args:
        backbone: Its tensors get no prefix, and stand under `state_dict` in a `.pth`.
        path: `.pth` or `.safetensors`; its metadata hold the certificate, the input's normalisation and what is
            known of the pretraining.

    Raises:
        DensebenchError: The backbone is not certified, or the file cannot be written.
    """
    require(backbone)
    checkpoint.write_tensors(Path(path), backbone.state, statements(backbone))


def _published_as(path: Path, arch: str) -> tuple[str | None, list[str]]:
    """Tell whether torchvision publishes this very file, and be suspicious where only the name says so."""
    published = intake.load("torchvision").published(arch)
    with path.open("rb") as file:
        prefix = hashlib.file_digest(file, "sha256").hexdigest()[:8]
    if prefix not in published and path.name in published.values():
        return None, [f"{path.name} is a name of torchvision's, but the file's sha256 begins with {prefix}."]
    return published.get(prefix), []
