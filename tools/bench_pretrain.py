"""How fast pretraining's parts are beside their peers', alternating in one process on one core.

    python tools/bench_pretrain.py masks --images DIR    Felzenszwalb-Huttenlocher regions beside scikit-image's
    python tools/bench_pretrain.py views --images DIR    DenseCL's two views of a file beside lightly's and mmpretrain's
    python tools/bench_pretrain.py steps                 training steps beside lightly's, mmpretrain's, and the bare
                                                         passes through the backbone (see tools/bench_steps.py)
    python tools/bench_pretrain.py navit                 NaViT on packed sequences beside padded batches
                                                         (see tools/bench_navit.py)

Speeds are images per second of this process's CPU time (of a GPU's: wall time), medians over rounds in which all take
their turn; ratios are medians of the rounds' ratios. mmpretrain's views are not yet normalised: its model does that.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmark.quiet import quiet

SCALE, MIN_SIZE = 1000.0, 1000  # DetCon's


def alternate(runs: Mapping[str, Callable[[], None]], images: int, rounds: int) -> None:
    """Let every run, of so many images, take its turn in each round, and print the speeds; the first is ours."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # compiles, and fills caches
    for _ in range(rounds):
        for name, run in runs.items():
            begin = clock()
            run()
            seconds[name].append(clock() - begin)
    own = np.array(next(iter(seconds.values())))
    for name, spent in seconds.items():
        speed, ratio = images / np.median(spent), np.median(np.array(spent) / own)
        print(f"{name:28} {speed:7.1f} images/s   ours are {ratio:5.2f} times as fast", flush=True)


def clock() -> float:
    """Return seconds, once the GPU has done what it was given."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def views(paths: Sequence[Path], rounds: int) -> None:
    """Time two 224-pixel views of every file, from the file on."""
    from lightly.transforms.densecl_transform import DenseCLTransform
    from mmcv.transforms import Compose
    from PIL import Image

    with quiet():
        from mmpretrain.registry import TRANSFORMS
        from mmpretrain.utils import register_all_modules

    from pretrain.data.images import Images, Source
    from pretrain.engine.sampling import Draw, generator
    from pretrain.views.sample import View, twice

    register_all_modules()
    samples, augment, draws = Images(Source("images", tuple(paths))), twice(View()), itertools.count()
    theirs = DenseCLTransform()
    view = [
        {"type": "RandomResizedCrop", "scale": 224, "crop_ratio_range": (0.2, 1.0), "backend": "pillow"},
        {
            "type": "RandomApply",
            "transforms": [{"type": "ColorJitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}],
            "prob": 0.8,
        },
        {"type": "RandomGrayscale", "prob": 0.2, "keep_channels": True, "channel_weights": (0.114, 0.587, 0.2989)},
        {"type": "GaussianBlur", "magnitude_range": (0.1, 2.0), "magnitude_std": "inf", "prob": 0.5},
        {"type": "RandomFlip", "prob": 0.5},
    ]
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "MultiView", "num_views": 2, "transforms": [view]},
        {"type": "PackInputs"},
    ]
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])

    def ours() -> None:
        draw = next(draws)
        for index in range(len(paths)):
            augment(samples[index], generator(0, Draw(index, draw)))

    def lightly() -> None:
        for path in paths:
            with Image.open(path) as image:
                theirs(image.convert("RGB"))

    def mmpretrain() -> None:
        for path in paths:
            pipeline({"img_path": str(path)})

    alternate({"densebench": ours, "lightly": lightly, "mmpretrain": mmpretrain}, len(paths), rounds)


def masks(paths: Sequence[Path]) -> None:
    """Time both segmentations on the same images, one after the other."""
    from skimage.segmentation import felzenszwalb as peer

    from pretrain.data.images import read
    from pretrain.masks.felzenszwalb import felzenszwalb

    seconds = {"densebench": 0.0, "scikit-image": 0.0}
    overlaps = []
    felzenszwalb(np.zeros((8, 8, 3), np.uint8))  # compiles
    for path in paths:
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
    parser.add_argument("what", choices=("masks", "views", "steps", "navit"))
    parser.add_argument("--images", help="masks, views: a folder or a list of images")
    parser.add_argument("--count", type=int, default=30, help="masks, views: so many of the images")
    parser.add_argument("--rounds", type=int, default=15, help="views, steps, navit: turns of each")
    parser.add_argument("--methods", nargs="+", help="steps: only these methods")
    parser.add_argument("--batch", type=int, help="steps, navit: images in a batch; by default 64, of navit 32")
    parser.add_argument("--queue", type=int, default=4096, help="steps: keys in a queue")
    parser.add_argument("--arch", help="steps, navit: by default resnet18 and navit_tiny_patch16")
    parser.add_argument("--size", type=int, default=96, help="steps: the views' side in pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if arguments.what == "steps":
        import bench_steps

        arch, batch = arguments.arch or "resnet18", arguments.batch or 64
        bench_steps.run(alternate, arguments.methods, arch, arguments.size, batch, arguments.queue, arguments.rounds)
        return
    if arguments.what == "navit":
        import bench_navit

        arch = arguments.arch or "navit_tiny_patch16"
        bench_navit.run(alternate, arch, arguments.batch or 32, arguments.rounds)
        return
    if arguments.images is None:
        parser.error(f"{arguments.what} needs --images")
    from pretrain.data.images import find

    paths = find(arguments.images).paths[: arguments.count]
    if arguments.what == "masks":
        masks(paths)
    else:
        views(paths, arguments.rounds)


if __name__ == "__main__":
    main()
