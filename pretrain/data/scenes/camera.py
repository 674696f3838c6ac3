"""A pinhole camera that stands on the ground plane and looks slightly down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pretrain.data.scenes.noise import Array, turned


@dataclass(frozen=True)
class Camera:
    """World coordinates are metres: x to the right, y up, z away from the camera, the ground at y = 0.

    Args:
        size: Side of the square image in pixels.
        focal: Focal length in pixels.
        position: Where it stands, (3,).
        turn: Rows are the camera's right, down and forward directions in the world, (3, 3).
    """

    size: int
    focal: float
    position: Array
    turn: Array

    def rays(self) -> Array:
        """Unit directions through the pixel centres: (3, H, W)."""
        axis = (np.arange(self.size, dtype=np.float32) + 0.5 - self.size / 2) / self.focal
        x, y = np.meshgrid(axis, axis)
        inverse = 1 / np.sqrt(x * x + y * y + 1)
        flat = np.stack([x * inverse, y * inverse, inverse]).reshape(3, -1)
        return turned(self.turn.T, flat).reshape(3, self.size, self.size)

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """Pixel coordinates x, y and depth along the optical axis of world points (3, N)."""
        x, y, z = turned(self.turn, points - self.position[:, None])
        safe = np.maximum(z, 1e-3)
        return self.focal * x / safe + self.size / 2, self.focal * y / safe + self.size / 2, z

    @property
    def pixel_angle(self) -> float:
        """The angle that a pixel spans in the middle of the image, in radians."""
        return 1 / self.focal


def draw_camera(rng: np.random.Generator, size: int) -> Camera:
    """A camera at chest to head height, pitched down by 6 to 30 degrees and hardly rolled."""
    height = rng.uniform(0.9, 2.1)
    pitch = np.radians(rng.uniform(7, 17) + 6.5 * (height - 0.9))
    roll = np.radians(rng.normal(0, 2.0))
    focal = size * rng.uniform(0.85, 1.25)
    cos, sin = np.cos(pitch), np.sin(pitch)
    right, down, forward = np.array([1.0, 0, 0]), np.array([0, -cos, -sin]), np.array([0, -sin, cos])
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    turn = np.stack([right, down, forward]).astype(np.float32)
    return Camera(size, float(focal), np.array([0, height, 0], np.float32), turn)
