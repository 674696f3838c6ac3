"""Where things stand: a scene's camera, light, objects and clutter, before any pixel is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pretrain.data.scenes.camera import Camera, draw_camera
from pretrain.data.scenes.noise import Array, Bank, turned
from pretrain.data.scenes.objects import Model, draw_clutter, draw_object
from pretrain.data.scenes.spec import CLASSES

Generator = np.random.Generator


@dataclass(frozen=True)
class Light:
    """A sun and what the sky and the ground send back.

    Args:
        direction: Unit vector to the sun, (3,).
        sun: Its colour and strength in linear light, (3,).
        sky: Light from above, (3,).
        bounce: Light from below, (3,).
        blur: Half-shadow: tangent of the sun's angular radius (large under haze).
    """

    direction: Array
    sun: Array
    sky: Array
    bounce: Array
    blur: float


@dataclass(frozen=True)
class Item:
    """A model on the ground.

    Args:
        model: What stands there.
        label: Index of its class; -1 for clutter.
        position: Its place in the world, (3,), in metres; y <= 0 sinks it into the ground.
        yaw: Turn about the vertical in radians.
        crowd: Whether it belongs to the scene's group, which COCO annotates as one region.
    """

    model: Model
    label: int
    position: Array
    yaw: float
    crowd: bool = False

    @cached_property
    def radius(self) -> float:
        """Radius of the circle that it stands on."""
        return math.hypot(*self.model.shape.high[::2].tolist())

    @cached_property
    def _axes(self) -> Array:
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)

    def to_local(self, vectors: Array) -> Array:
        """Turn world vectors (3, ...) into the model's axes."""
        return turned(self._axes, vectors)

    def to_world(self, vectors: Array) -> Array:
        """Turn vectors (3, ...) in the model's axes into the world's."""
        return turned(self._axes.T, vectors)

    def corners(self) -> Array:
        """Corners of the bounding box in the world: (3, 8)."""
        low, high = self.model.shape.low, self.model.shape.high
        grid = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), np.float32).reshape(3, 8)
        return self.to_world(grid) + self.position[:, None]


@dataclass(frozen=True)
class Arrangement:
    """A scene before it is drawn.

    Args:
        camera: The camera.
        light: The light.
        wall: Distance in metres and yaw in radians of the vertical plane behind everything.
        theme: Indices of the two classes that most of its objects belong to; the first one's usual ground lies here
            more often than another.
        items: Objects and clutter.
    """

    camera: Camera
    light: Light
    wall: tuple[float, float]
    theme: tuple[int, int]
    items: list[Item]


def draw_light(rng: Generator) -> Light:
    """From hard sun to a dull sky, warm or cool."""
    elevation = np.radians(rng.uniform(20, 52))
    azimuth = np.radians(rng.uniform(-65, 55))  # 0 lights from the right, 90 from behind the scene
    if rng.random() < 0.5:
        azimuth = np.pi - azimuth
    flat = np.cos(elevation)
    direction = np.array([flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)], np.float32)
    hard, warmth = rng.beta(2.2, 1.2), rng.normal(0, 0.07)
    sun = np.array([1 + warmth, 1, 1 - 1.3 * warmth]) * (0.35 + 1.15 * hard)
    sky = np.array([0.92, 1, 1.1]) * (0.52 - 0.28 * hard)
    bounce = np.array([1.05, 1, 0.9]) * 0.14
    blur = 0.04 + 0.3 * (1 - hard) ** 2
    return Light(direction, sun.astype(np.float32), sky.astype(np.float32), bounce.astype(np.float32), float(blur))


def arrange(rng: Generator, bank: Bank, size: int) -> Arrangement:
    """Draw a scene: 3 to 8 labelled objects, 1 to 4 pieces of clutter, and sometimes a far-off group.

    Most objects are of two classes, as most photographs show few kinds of things.
    """
    camera = draw_camera(rng, size)
    wall = (float(rng.uniform(6.0, 9.5)), float(np.radians(rng.normal(0, 13))))
    light = draw_light(rng)
    first, second = rng.choice(len(CLASSES), 2, replace=False)
    theme = (int(first), int(second))
    items: list[Item] = []
    wanted = int(rng.integers(4, 9))
    if rng.random() < 0.07:
        _group(rng, bank, camera, wall, items)
    for _ in range(wanted):
        label = theme[rng.integers(2)] if rng.random() < 0.8 else int(rng.integers(len(CLASSES)))
        _place(rng, camera, wall, items, draw_object(CLASSES[label], rng, bank), label)
    for _ in range(int(rng.integers(1, 5))):
        _place(rng, camera, wall, items, draw_clutter(rng, bank), -1)
    return Arrangement(camera, light, wall, theme, items)


def _place(
    rng: Generator, camera: Camera, wall: tuple[float, float], items: list[Item], model: Model, label: int
) -> None:
    """Find a free spot for a model; leave it out when there is none in 12 tries."""
    near, far = 2.1, 0.98 * wall[0]
    for _ in range(12):
        depth = near * (far / near) ** rng.random() ** 0.85
        across = rng.uniform(-0.53, 0.53) * camera.size / camera.focal * depth
        position = np.array([across, -rng.uniform(0, 0.04), depth], np.float32)
        item = Item(model, label, position, float(rng.uniform(0, 2 * np.pi)))
        if _fits(item, wall, items):
            items.append(item)
            return


def _group(rng: Generator, bank: Bank, camera: Camera, wall: tuple[float, float], items: list[Item]) -> None:
    """Five to eight of one class, close together and far away."""
    label = int(rng.integers(len(CLASSES)))
    depth = rng.uniform(0.62, 0.8) * wall[0]
    across = rng.uniform(-0.3, 0.3) * camera.size / camera.focal * depth
    for _ in range(int(rng.integers(5, 9))):
        model = draw_object(CLASSES[label], rng, bank)
        for _ in range(8):
            offset = rng.normal(0, 0.75, 2)
            position = np.array([across + offset[0], 0, depth + offset[1]], np.float32)
            item = Item(model, label, position, float(rng.uniform(0, 2 * np.pi)), crowd=True)
            if _fits(item, wall, items, closeness=0.75):
                items.append(item)
                break


def _fits(item: Item, wall: tuple[float, float], items: list[Item], closeness: float = 0.95) -> bool:
    """Whether an item stands in front of the wall and clear of all others."""
    x, _, z = item.position.tolist()
    distance, yaw = wall
    if math.sin(yaw) * x + math.cos(yaw) * z + item.radius > distance or z - item.radius < 1.2:
        return False
    return all(
        math.dist((x, z), other.position[::2].tolist()) > closeness * (item.radius + other.radius) for other in items
    )
