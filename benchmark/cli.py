"""The command `densebench`: verbs, no logic. What a verb needs is imported when it is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark import cli_checkpoints, cli_tables
from benchmark.options import (
    LARGEST_SEED,
    NO_NUMBERS,
    NOTHING,
    ONE_SEED,
    AllowUntrained,
    Arch,
    AsJson,
    ChannelOrder,
    Checkpoint,
    DataRoot,
    DataSpec,
    Format,
    InputMean,
    InputStd,
    Mode,
    Precision,
    Seeds,
    Settings,
    StatedData,
    StatedEpochs,
    StatedMethod,
    StatedRecipe,
    Trunk,
)
from benchmark.shell import Verbs, key_values, literal, perform, terminal_width

app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pretrain dense self-supervised methods, prove that a checkpoint is loaded, fine-tune, make tables.",
)
data = typer.Typer(cls=Verbs, no_args_is_help=True, help="Make the embedded data, or verify a data set.")
app.add_typer(data, name="data")


@app.callback()
def _every_verb(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unforeseen error.")] = False,
) -> None:
    """Options that stand before the verb."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where data, checkpoints, records and pictures go.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Only segmentation and depth.")] = False,
    methods: Annotated[list[str], typer.Option(help="The rows of the table.")] = NOTHING,
    tasks: Annotated[list[str], typer.Option(help="The columns of the table.")] = NOTHING,
    seeds: Seeds = ONE_SEED,
) -> None:
    """Embedded data -> pretraining -> conversion -> fine-tuning -> table, on a CPU, without a download."""
    from benchmark.demo import demonstrate
    from benchmark.plan import Plan

    demonstrate(Plan.make(out, quick=quick, methods=methods, tasks=tasks, seeds=seeds))


@app.command("ls")
def list_names(
    kind: Annotated[str, typer.Argument(help="methods, archs, tasks, formats or tables")],
    as_json: AsJson = False,
) -> None:
    """List what there is, with what is known of methods, tasks and tables."""
    from benchmark.listing import describe, lines

    print(json.dumps(describe(kind)) if as_json else "\n".join(lines(kind, terminal_width())))


@data.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="The data root to make.")],
    train: Annotated[int, typer.Option(help="Training scenes.")] = 800,
    val: Annotated[int, typer.Option(help="Scenes in each held-out pool.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.")] = 160,
    workers: Annotated[int | None, typer.Option(help="Processes.", min=1)] = None,
) -> None:
    """Render the embedded data in the layouts of VOC, COCO, Cityscapes and NYU."""
    from benchmark.progress import counting
    from pretrain.data.scenes import write

    with counting("scenes") as progress:
        written = write(folder, train, val, seed, size=size, workers=workers, progress=progress)
    print(f"{written}: {train} training scenes and twice {val} held-out ones.")


@data.command()
def check(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks; by default every data set there is.")] = None,
    data_root: DataRoot = Path(),
    data_spec: DataSpec = None,
) -> None:
    """Verify that every listed file is there and every image can be read, before any compute."""
    from benchmark import data_check

    data_check.check(data_root, tasks or [], data_spec)


@app.command()
def pretrain(
    method: Annotated[str, typer.Argument(help="See: densebench ls methods.")],
    images: Annotated[Path, typer.Option(help="A folder of images, a list file, or a data root of scenes.")],
    recipe: Annotated[str, typer.Option(help="The settings, such as imagenet-200e, coco-800e or scenes.")],
    out: Annotated[Path, typer.Option(help="Where the state and checkpoint.safetensors go.")],
    arch: Annotated[str, typer.Option(help="The architecture.")] = "resnet50",
    settings: Settings = NOTHING,
    seed: Annotated[int, typer.Option(help="Seed of initialisation and data.", min=0, max=LARGEST_SEED)] = 0,
    workers: Annotated[int, typer.Option(help="Loader processes.", min=0)] = 2,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    masks: Annotated[Path | None, typer.Option(help="The images' regions, made by `densebench masks`.")] = None,
) -> None:
    """Pretrain a backbone; the same command continues an interrupted run."""
    from pretrain import methods

    methods.hold(method, recipe)  # before torch is imported, which takes long
    from pretrain.engine.launch import is_main_process
    from pretrain.train import pretrain as train

    path = train(
        method,
        arch,
        images,
        recipe,
        out,
        overrides=key_values(settings),
        seed=seed,
        workers=workers,
        skip_unreadable=skip_unreadable,
        regions=masks,
    )
    if is_main_process():
        print(path)


@app.command("masks")
def make_masks(
    images: Annotated[str, typer.Argument(help="A folder of images, a list file, or a data root of scenes.")],
    kind: Annotated[str, typer.Option(help="grid, fh (Felzenszwalb-Huttenlocher), human or proposals.")],
    out: Annotated[Path, typer.Option(help="The file that keeps all regions; one that is not complete is completed.")],
    source: Annotated[
        list[Path] | None, typer.Option(help="human (also several times), proposals: where from.")
    ] = None,
    cells: Annotated[int, typer.Option(help="grid: cells in a row.", min=1, max=255)] = 7,
    scale: Annotated[float, typer.Option(help="fh: the larger, the larger the regions.", min=0)] = 1000.0,
    min_size: Annotated[int, typer.Option(help="fh: pixels of the smallest region.", min=1)] = 1000,
    sigma: Annotated[float, typer.Option(help="fh: blur in pixels.", min=0)] = 0.8,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 2,
) -> None:
    """Find the regions of images, for DetCon."""
    from benchmark.progress import counting
    from pretrain.masks.make import Options, make

    options = Options(cells, scale, min_size, sigma, tuple(source or ()))
    with counting("masks") as progress:
        count, without = make(images, kind, out, options, workers, progress)
    print(f"{out}: {count} images, {without} of them without a region.")


app.command()(cli_checkpoints.inspect)
app.command()(cli_checkpoints.convert)
app.command()(cli_checkpoints.certificate)


@app.command()
def run(
    tasks: Annotated[list[str], typer.Argument(help="See: densebench ls tasks.")],
    checkpoint: Checkpoint,
    data_root: DataRoot,
    arch: Arch = None,
    format: Format = None,
    trunk: Trunk = None,
    input_mean: InputMean = NO_NUMBERS,
    input_std: InputStd = NO_NUMBERS,
    channel_order: ChannelOrder = None,
    mode: Annotated[
        Mode, typer.Option(help="finetune, frozen (the head trains) or linear (one layer does).", metavar="MODE")
    ] = "finetune",
    seeds: Seeds = ONE_SEED,
    name: Annotated[str | None, typer.Option(help="What to call the checkpoint in tables.")] = None,
    out: Annotated[Path, typer.Option(help="Where records and work folders go.")] = Path("runs"),
    data_spec: DataSpec = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what is recorded.")] = False,
    settings: Settings = NOTHING,
    precision: Annotated[Precision | None, typer.Option(help="By default the task's.")] = None,
    workers: Annotated[int, typer.Option(help="Loader processes.", min=0)] = 2,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out training images that cannot be read.")
    ] = False,
    allow_untrained: AllowUntrained = False,
    keep_model: Annotated[bool, typer.Option("--keep-model", help="Keep the fine-tuned weights.")] = False,
    method: StatedMethod = None,
    recipe: StatedRecipe = None,
    pretrain_data: StatedData = None,
    epochs: StatedEpochs = None,
) -> None:
    """Fine-tune, evaluate and record; what is recorded is not run again."""
    from benchmark.normalisation import asked
    from benchmark.report import markdown
    from benchmark.request import Request
    from benchmark.run import run_tasks
    from benchmark.table import wide
    from pretrain.engine.launch import is_main_process

    stated = {"method": method, "recipe": recipe, "data": pretrain_data, "epochs": epochs}
    request = Request(
        data_root=data_root,
        arch=arch,
        format=format,
        trunk=trunk,
        inputs=asked(input_mean, input_std, channel_order),
        mode=mode,
        name=name,
        out=out,
        data_spec=data_spec,
        force=force,
        overrides={key: literal(value) for key, value in key_values(settings).items()},
        precision=precision,
        workers=workers,
        skip_unreadable=skip_unreadable,
        allow_untrained=allow_untrained,
        keep_model=keep_model,
        stated={name: value for name, value in stated.items() if value is not None},
    )
    records = run_tasks(tasks, checkpoint, seeds, request)
    if is_main_process():
        print(markdown.wide(wide(records), terminal_width()), end="")


app.command()(cli_tables.reproduce)
app.command()(cli_tables.table)


@app.command()
def doctor(
    data_root: Annotated[Path, typer.Option(help="Where data sets should be.")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """Tell what is installed, what is missing, and what to do about each lack."""
    from benchmark.doctor import examine, report

    findings = examine(data_root)
    print(json.dumps([item.to_dict() for item in findings], indent=1) if as_json else report(findings))
    raise typer.Exit(int(any(item.state == "missing" for item in findings)))


def main() -> None:
    """Run the command line; the console script `densebench`."""
    sys.exit(perform(app, sys.argv[1:]))
