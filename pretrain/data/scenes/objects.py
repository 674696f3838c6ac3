"""The classes: which shape in which material. And clutter, which has the materials in other shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pretrain.data.scenes import materials as made_of
from pretrain.data.scenes.materials import Material
from pretrain.data.scenes.noise import Bank
from pretrain.data.scenes.shapes import (
    Shape,
    bush,
    cuboid,
    cylinder,
    joined,
    lump,
    lying,
    prism,
    revolved,
    torus,
)

Generator = np.random.Generator


@dataclass(frozen=True)
class Model:
    """A solid in its material.

    Args:
        shape: The solid.
        material: What it is made of.
    """

    shape: Shape
    material: Material


def boulder(rng: Generator) -> Shape:
    """An angular stone."""
    width, height, depth = rng.uniform(0.6, 1.2, 3)
    return lump(rng, width, height * 0.9, depth, rough=0.05, cuts=int(rng.integers(3, 7)))


def crate(rng: Generator) -> Shape:
    """A box, nearly a cube."""
    side = rng.uniform(0.55, 0.95)
    return cuboid(side * rng.uniform(0.85, 1.35), side * rng.uniform(0.75, 1.1), side)


def drum(rng: Generator) -> Shape:
    """A ribbed barrel of metal, standing or rolled over."""
    radius = rng.uniform(0.27, 0.42)
    standing = cylinder(radius, radius * rng.uniform(2.2, 3.0), ribs=2)
    return lying(standing) if rng.random() < 0.25 else standing


def log(rng: Generator) -> Shape:
    """A trunk on the ground, sometimes a stump."""
    radius = rng.uniform(0.14, 0.3)
    if rng.random() < 0.15:
        return cylinder(radius * 1.5, radius * rng.uniform(1.8, 2.8), bulge=-0.1)
    return lying(cylinder(radius, radius * rng.uniform(4.5, 8), bulge=rng.uniform(-0.12, 0.12)))


def cone(rng: Generator) -> Shape:
    """A cone on a square foot, standing or knocked over."""
    height = rng.uniform(0.6, 1.1)
    radius = height * rng.uniform(0.22, 0.36)
    body = revolved([0, height], [radius, radius * 0.12])
    if rng.random() < 0.2:
        return lying(body)
    return joined(body, cuboid(2.5 * radius, 0.06, 2.5 * radius))


def tyre(rng: Generator) -> Shape:
    """A ring, flat on the ground or upright."""
    radius = rng.uniform(0.32, 0.5)
    flat = torus(radius, radius * rng.uniform(0.28, 0.4), radius * rng.uniform(0.5, 0.9))
    return lying(flat) if rng.random() < 0.5 else flat


def urn(rng: Generator) -> Shape:
    """A turned vessel with belly and neck."""
    height, belly = rng.uniform(0.6, 1.2), rng.uniform(0.24, 0.42)
    neck, waist = belly * rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.6)
    heights = np.array([0, 0.06, waist * 0.6, waist, 0.8, 0.92, 1.0]) * height
    radii = [0.5 * belly, 0.55 * belly, 0.9 * belly, belly, neck, neck * 0.95, neck * 1.4]
    vessel = revolved(heights.tolist(), radii)
    return lying(vessel) if rng.random() < 0.15 else vessel


def bale(rng: Generator) -> Shape:
    """A rolled bale."""
    radius = rng.uniform(0.35, 0.58)
    roll = cylinder(radius, radius * rng.uniform(1.3, 2.2), bulge=0.04)
    return roll if rng.random() < 0.25 else lying(roll)


def shrub(rng: Generator) -> Shape:
    """A low bush."""
    return bush(rng, rng.uniform(0.8, 1.3), rng.uniform(0.7, 1.2))


def tent(rng: Generator) -> Shape:
    """A ridge tent."""
    height = rng.uniform(0.7, 1.1)
    return prism(height * rng.uniform(1.0, 1.5), height, height * rng.uniform(1.1, 1.8), 0.02)


def _ball(rng: Generator) -> Shape:
    width = rng.uniform(0.25, 0.8)
    return lump(rng, width, width * rng.uniform(0.8, 1.2), width, rough=0.01, cuts=0)


def _slab(rng: Generator) -> Shape:
    return cuboid(rng.uniform(0.5, 1.2), rng.uniform(0.06, 0.2), rng.uniform(0.3, 0.7))


def _post(rng: Generator) -> Shape:
    return cylinder(rng.uniform(0.05, 0.11), rng.uniform(0.8, 1.8))


def _stick(rng: Generator) -> Shape:
    return lying(cylinder(rng.uniform(0.03, 0.06), rng.uniform(0.5, 1.2)))


def _pebble(rng: Generator) -> Shape:
    width = rng.uniform(0.1, 0.3)
    return lump(rng, width, 0.7 * width, width * rng.uniform(0.7, 1.3), rough=0.06, cuts=2)


Draw = Callable[[Generator], Shape]
Make = Callable[[Generator, Bank], Material]

CLASS_PARTS: Mapping[str, tuple[Draw, Make]] = {
    "boulder": (boulder, made_of.rock),
    "crate": (crate, made_of.planks),
    "drum": (drum, made_of.painted_metal),
    "log": (log, made_of.bark),
    "cone": (cone, made_of.plastic),
    "tyre": (tyre, made_of.rubber),
    "urn": (urn, made_of.ceramic),
    "bale": (bale, made_of.straw),
    "shrub": (shrub, made_of.leaves),
    "tent": (tent, made_of.fabric),
}
CLUTTER_SHAPES: tuple[Draw, ...] = (_ball, _slab, _post, _stick, _pebble, _pebble)


def draw_object(name: str, rng: Generator, bank: Bank) -> Model:
    """A specimen of a class."""
    shape, material = CLASS_PARTS[name]
    return Model(shape(rng), material(rng, bank))


def draw_clutter(rng: Generator, bank: Bank) -> Model:
    """Something without a label: a plain shape in any class's material, or a class's shape in another's."""
    names = list(CLASS_PARTS)
    owner = names[rng.integers(len(names))]
    if rng.random() < 0.2:
        other = names[(names.index(owner) + rng.integers(1, len(names))) % len(names)]
        return Model(CLASS_PARTS[other][0](rng), CLASS_PARTS[owner][1](rng, bank))
    shape = CLUTTER_SHAPES[rng.integers(len(CLUTTER_SHAPES))]
    return Model(shape(rng), CLASS_PARTS[owner][1](rng, bank))
