"""Render a whole data root: all or nothing, the same bytes from any number of processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pretrain.cores import cores
from pretrain.data.scenes import cityscapes, coco, nyu, voc
from pretrain.data.scenes.files import link
from pretrain.data.scenes.render import render
from pretrain.data.scenes.spec import CLASSES, COCO_IDS, MAX_DEPTH, POOLS, STUFF, Parameters
from pretrain.errors import DensebenchError, UsageError
from pretrain.files import read_object, unwritable
from pretrain.processes import mapped

Progress = Callable[[int, int], None]
Key = tuple[str, int]
SCENES_PER_PROCESS = 150
"""Below this many scenes a further process costs more time than it saves."""


def write(
    root: Path,
    train: int,
    val: int,
    seed: int = 0,
    size: int = 160,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Render scenes and write them as VOC, COCO, Cityscapes, NYU depth and pretraining images.

    A pool of `train` scenes is shared by all training splits and by pretraining; a pool of `val` scenes by
    the test splits VOC2007 test, COCO val, Cityscapes val and NYU test; a third pool of `val` scenes is
    VOC2012 val. The pools are disjoint. A folder that already holds these scenes is left as it is.

    Args:
        root: The data root; it appears when it is complete.
        train: Number of training scenes.
        val: Number of scenes in each held-out pool.
        seed: Same seed, same bytes. Scene k of a pool does not depend on `train`, `val` or `workers`.
        size: Side of the images in pixels.
        workers: Number of processes; by default one for every 150 scenes, at most one for each core. A script
            that asks for several calls this under `if __name__ == "__main__":`.
        progress: Called with (scenes done, scenes in all) after every few scenes.

    Returns:
        The data root.

    Raises:
        UsageError: If a number is outside its range, or the folder holds something else.
        DensebenchError: If another process is writing the folder, or writing fails or is interrupted.
    """
    parameters = Parameters(train, val, seed, size)
    root = Path(root)
    try:
        if _complete(root, parameters):
            return root
        place = root.resolve()  # with a name, which "." has not
        place.parent.mkdir(parents=True, exist_ok=True)
        with _draft(place) as draft:
            _fill(draft, parameters, workers, progress)
            draft.replace(place)
    except KeyboardInterrupt as error:
        raise DensebenchError(f"Interrupted; {root} was not written.", "The same command begins anew.") from error
    except OSError as error:
        raise unwritable(root, error) from error
    return root


def _complete(root: Path, parameters: Parameters) -> bool:
    """Whether the folder holds exactly these scenes; raises where it holds anything else."""
    spec = root / "densebench.json"
    if not spec.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UsageError(
                f"{root} is in the way: a new or empty folder was expected, but it has other content.",
                "Choose another folder.",
            )
        return False
    found = read_object(spec, mend=f"Delete {root} to redo it.").get("generator")
    expected = parameters.to_dict()
    if found != expected:
        raise UsageError(
            f"{root} holds other data: {_words(expected)} was asked for, {_words(found)} was found.",
            "Choose another folder, or delete this one.",
        )
    return True


def _words(generator: Any) -> str:
    if not isinstance(generator, dict):
        return "no generator named"
    return ", ".join(f"{key}={value}" for key, value in generator.items())


@contextmanager
def _draft(root: Path) -> Iterator[Path]:
    """An empty sibling folder that only this process fills; it is removed where that fails, or was killed before."""
    draft = root.with_name(f".{root.name}.draft")
    draft.mkdir(exist_ok=True)
    handle = os.open(draft, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DensebenchError(f"Another process is writing scenes to {root}.", "Wait for it.") from error
        for entry in draft.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        try:
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    finally:
        os.close(handle)


def _fill(root: Path, parameters: Parameters, workers: int | None, progress: Progress | None) -> None:
    for folder in voc.folders() + coco.folders() + cityscapes.folders() + nyu.folders():
        (root / folder).mkdir(parents=True)
    keys = [(pool, index) for pool in POOLS for index in range(parameters.count(pool))]
    annotations: dict[str, list[list[dict[str, Any]]]] = {pool: [] for pool in POOLS}
    if workers is None:
        workers = min(cores(), len(keys) // SCENES_PER_PROCESS)
    written = mapped(partial(_write_scene, root, parameters), keys, workers, at_a_time=16)
    for done, ((pool, _), found) in enumerate(zip(keys, written, strict=True), 1):
        annotations[pool].append(found)
        if progress and (done % 16 == 0 or done == len(keys)):
            progress(done, len(keys))
    for pool in coco.SPLITS:
        coco.write_annotations(root, pool, parameters.size, annotations[pool])
    voc.write_lists(root, parameters)
    _write_pretraining(root, annotations["train"])
    (root / "densebench.json").write_text(json.dumps(_spec(parameters), indent=1) + "\n", encoding="utf-8")


def _write_scene(root: Path, parameters: Parameters, key: Key) -> list[dict[str, Any]]:
    """Render one scene and write all its files; returns its COCO annotations (none in the reserve)."""
    pool, index = key
    scene = render(parameters.seed, pool, index, parameters.size)
    photo = voc.write_scene(root, pool, index, scene)
    if pool == "reserve":
        return []
    link(photo, root / "coco" / coco.SPLITS[pool] / coco.file_name(pool, index))
    cityscapes.write_scene(root, pool, index, scene)
    nyu.write_scene(root, parameters.seed, pool, index, scene, photo)
    return coco.annotate(pool, index, scene)


def _write_pretraining(root: Path, annotations: list[list[dict[str, Any]]]) -> None:
    """Write the list of training images and the classes that each shows."""
    labels = {
        f"coco/train2017/{coco.file_name('train', index)}": sorted(
            {COCO_IDS.index(annotation["category_id"]) for annotation in found}
        )
        for index, found in enumerate(annotations)
    }
    (root / "pretrain.txt").write_text("".join(f"{name}\n" for name in labels), encoding="utf-8")
    (root / "pretrain_labels.json").write_text(json.dumps(labels, separators=(",", ":")), encoding="utf-8")


def _spec(parameters: Parameters) -> dict[str, Any]:
    """What `densebench.json` says: where which split lies, and the classes."""
    objects = list(CLASSES)
    return {
        "schema": 1,
        "name": "scenes",
        "generator": parameters.to_dict(),
        "voc_det": {
            "classes": objects,
            "train": ["VOC2007/trainval", "VOC2012/trainval"],
            "test": ["VOC2007/test"],
        },
        "coco_det": {"classes": objects, "train": "train2017", "test": "val2017"},
        "voc_seg": {
            "classes": ["background", *objects],
            "train": ["VOC2012/train", "VOC2012/aug"],
            "test": ["VOC2012/val"],
            "labels": "SegmentationClassAug",
        },
        "cityscapes_seg": {"classes": [*STUFF, *objects], "train": "train", "test": "val"},
        "nyu_depth": {"train": "train", "test": "test", "max_depth": MAX_DEPTH},
        "pretrain": {"images": "pretrain.txt", "labels": "pretrain_labels.json", "classes": objects},
    }
