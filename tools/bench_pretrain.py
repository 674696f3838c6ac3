"""How fast pretraining's parts are beside their peers', alternating in one process on one core.

    python tools/bench_pretrain.py masks IMAGES      Felzenszwalb-Huttenlocher regions beside scikit-image's

Prints images per second of both, their ratio, and how well the regions agree.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb as peer

from pretrain.data.images import find, read
from pretrain.masks.felzenszwalb import felzenszwalb

SCALE, MIN_SIZE = 1000.0, 1000  # DetCon's


def masks(images: str, count: int) -> None:
    """Time both on the same images, one after the other."""
    seconds = {"densebench": 0.0, "scikit-image": 0.0}
    overlaps = []
    felzenszwalb(np.zeros((8, 8, 3), np.uint8))  # compiles
    for path in find(images).paths[:count]:
        image = read(path)
        begin = time.perf_counter()
        ours = felzenszwalb(image, SCALE, 0.8, MIN_SIZE)[0]
        middle = time.perf_counter()
        theirs = peer(image, scale=SCALE, sigma=0.8, min_size=MIN_SIZE)
        seconds["scikit-image"] += time.perf_counter() - middle
        seconds["densebench"] += middle - begin
        overlaps.append(best_overlap(ours, theirs))
    for name, spent in seconds.items():
        print(f"{name:12}  {len(overlaps) / spent:6.1f} images/s")
    print(f"ratio         {seconds['scikit-image'] / seconds['densebench']:6.1f}")
    print(f"mean best-overlap IoU of the regions {np.mean(overlaps):.3f}, over {len(overlaps)} images")


def best_overlap(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean over the expected regions of the best intersection over union."""
    together = np.zeros((int(expected.max()) + 1, int(found.max()) + 1))
    np.add.at(together, (expected.ravel(), found.ravel()), 1)
    union = together.sum(1, keepdims=True) + together.sum(0, keepdims=True) - together
    best = (together / union.clip(1)).max(axis=1)
    return float(best[together.sum(axis=1) > 0].mean())


def main() -> None:
    """Read the arguments and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("masks",))
    parser.add_argument("images", help="a folder or a list of images")
    parser.add_argument("--count", type=int, default=30)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    masks(arguments.images, arguments.count)


if __name__ == "__main__":
    main()
