"""The whole way on embedded data: scenes, pretraining, conversion, fine-tuning, table and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.estimate import Clock
from benchmark.live import Board
from benchmark.plan import ARCH, TRAIN_SCENES, VAL_SCENES, Plan
from benchmark.report import csv
from benchmark.result import Record, read
from benchmark.table import leaderboard
from pretrain.errors import DensebenchError
from pretrain.files import replacing
from pretrain.pace import in_words

if TYPE_CHECKING:
    from benchmark.certificate import Certificate
    from benchmark.request import Event

PICTURED = 6  # images a task
MATCHED = 24  # images whose views are matched


def demonstrate(plan: Plan) -> list[Record]:
    """Do what is not done yet, fill the table, and leave CSV and pictures in `plan.out`.

    Raises:
        DensebenchError: A step failed; what was finished is kept, and the same call continues.
    """
    clock = Clock(plan.steps())
    board = Board(plan.methods, plan.tasks, ARCH, clock)
    finished = _Finished(plan)
    with board.shown():
        records = finished.read()
        if records is None:
            records = _Demo(plan, board, clock).run()
            finished.write(records)
        else:
            board.fill(records)
    table = plan.out / "leaderboard.csv"
    with replacing(table) as temporary:
        temporary.write_text(csv.render(leaderboard(records)), encoding="utf-8")
    pictures = sorted((plan.out / "pictures").glob("*.png"))
    board.say(f"{table}: the table for programs. {len(pictures)} pictures in {plan.out / 'pictures'}.")
    board.say(f"Done in {in_words(clock.elapsed())}.")
    return records


class _Finished:
    """The note that says which records a finished demo consists of; it spares a second one all imports."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._path = plan.out / "finished.json"

    def read(self) -> list[Record] | None:
        """Return the records, in the table's order; None where something is missing or was changed."""
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
            if known["state"] != self._plan.state():
                return None
            return [read(self._plan.out / "records" / name) for name in known["records"]]
        except (OSError, ValueError, KeyError, TypeError, DensebenchError):
            return None

    def write(self, records: Sequence[Record]) -> None:
        names = [record.key.path(Path()).name for record in records]
        with replacing(self._path) as temporary:
            note = {"state": self._plan.state(), "records": names}
            temporary.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


class _Demo:
    """The work, step by step."""

    def __init__(self, plan: Plan, board: Board, clock: Clock) -> None:
        self._plan = plan
        self._board = board
        self._clock = clock
        self._pictures = plan.out / "pictures"

    def run(self) -> list[Record]:
        """Do every step and return the records in the table's order."""
        self._scenes()
        records = []
        for method in self._plan.methods:
            if method != "random":
                self._pretrain(method)
                self._certify(method)
            for task, seed in self._plan.cells():
                records.append(self._fine_tune(method, task, seed))
        return records

    @contextmanager
    def _step(self, name: str, what: str) -> Iterator[None]:
        self._clock.start(name)
        self._board.doing(what)
        yield
        self._clock.finish(name)

    def _scenes(self) -> None:
        from benchmark.report.sheet import sheet
        from pretrain.data import scenes

        with self._step("scenes", "rendering scenes"):
            scenes.write(self._plan.data, TRAIN_SCENES, VAL_SCENES, 0, progress=self._progress)
            picture = self._pictures / "scenes.png"
            if not picture.exists():
                sheet(self._plan.data, picture)

    def _pretrain(self, method: str) -> None:
        from pretrain.train import pretrain

        with self._step(f"pretrain {method}", f"pretraining {method}"):
            settings = {"iterations": str(self._plan.iterations)}
            folder = self._plan.folder(method)
            pretrain(method, ARCH, self._plan.data, "scenes", folder, overrides=settings, progress=self._progress)
            if method == "densecl":
                self._correspondences(method)

    def _correspondences(self, method: str) -> None:
        from benchmark import data_spec, manifest
        from benchmark.correspond import correspondences
        from benchmark.report.correspondence import draw

        picture = self._pictures / f"correspondences_{self._plan.iterations}.png"  # of a quick demo it is another
        if not picture.exists():
            images = manifest.read(data_spec.read(self._plan.data), "voc_seg").test.images
            draw(correspondences(self._plan.checkpoint(method), images[:MATCHED]), picture)

    def _certify(self, method: str) -> None:
        from benchmark import convert

        with self._step(f"certify {method}", f"certifying {method}"):
            for target in ("mmdet", "mmseg"):
                backbone = convert.require(convert.convert(self._plan.checkpoint(method), to=target))
                self._board.say(f"{method}: {in_short(backbone.certificate)}")

    def _fine_tune(self, method: str, task: str, seed: int) -> Record:
        from benchmark.request import Request
        from benchmark.run import run_tasks

        def on_event(event: Event) -> None:
            if event.kind == "step":
                self._board.running(method, task, event.step / event.steps)

        checkpoint = "random" if method == "random" else str(self._plan.checkpoint(method))
        shown = method == self._plan.methods[-1] and seed == self._plan.seeds[0]
        request = Request(self._plan.data, arch=ARCH, out=self._plan.out, keep_model=shown)
        with self._step(f"{method} {task} {seed}", f"{method} on {task}, seed {seed}"):
            (record,) = run_tasks([task], checkpoint, [seed], request, on_event)
            self._board.measured(method, task, record)
            if shown:
                self._predictions(record)
        return record

    def _predictions(self, record: Record) -> None:
        from benchmark.predict import predict
        from benchmark.report.predictions import draw
        from benchmark.run import work_folder

        model = work_folder(self._plan.out, record.key, record.pretraining["input"]) / "model.pth"
        if model.exists():
            title = f"{record.task}: {record.method}, seed {record.seed}"
            draw(predict(model.parent, PICTURED), title, self._pictures / f"{record.task}.png")
            model.unlink()

    def _progress(self, done: int, total: int) -> None:
        self._board.advance(done / total)


def in_short(certificate: Certificate) -> str:
    """Write a certificate in one line."""
    parity = max((row["max_rel"] for row in certificate.parity), default=float("nan"))
    return (
        f"certified for {certificate.target}: {certificate.filled} tensors filled, none missing, "
        f"none left over, maps agree to {parity:.0e}, sha256 {certificate.digest[:12]}"
    )
