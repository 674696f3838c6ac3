"""Options that several verbs of the command line share, and their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

LARGEST_SEED = 2**32 - 1  # of NumPy's global generator
Checkpoint = Annotated[str, typer.Option(help="A checkpoint file, or 'random' for the control row.")]
DataRoot = Annotated[Path, typer.Option(help="The folder with VOCdevkit, coco, cityscapes, nyu.")]
DataSpec = Annotated[Path | None, typer.Option(help="A specification beside the data root's own.")]
Seeds = Annotated[
    list[int], typer.Option(help="One or more seeds: --seeds 0 1 2.", min=0, max=LARGEST_SEED, metavar="N")
]
Settings = Annotated[list[str], typer.Option("--set", help="KEY=VALUE; several may follow one --set.")]
Records = Annotated[
    list[Path] | None,
    typer.Option(help="Folders of records, or single ones; by default runs/records and results/records."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Trunk = Annotated[str | None, typer.Option(help="Which of a file's networks, such as teacher or key.")]
AllowUntrained = Annotated[bool, typer.Option("--allow-untrained", help="Accept weights that look untrained.")]
Format = Annotated[str | None, typer.Option(help="The naming format; found out by default.")]
InputMean = Annotated[
    list[float], typer.Option("--input-mean", help="Three numbers in 0..255, in the channels' order.", metavar="R G B")
]
InputStd = Annotated[list[float], typer.Option("--input-std", help="Likewise, of the division.", metavar="R G B")]
ChannelOrder = Annotated[
    Literal["RGB", "BGR"] | None, typer.Option("--channel-order", help="Of the input; by default RGB.")
]
Arch = Annotated[str | None, typer.Option(help="The architecture, such as resnet50.")]
_UNSAID = "for a file that does not say it"
StatedMethod = Annotated[str | None, typer.Option("--method", help=f"Its method, such as moco_v2; {_UNSAID}.")]
StatedRecipe = Annotated[str | None, typer.Option("--recipe", help=f"Its recipe, such as imagenet-200e; {_UNSAID}.")]
StatedData = Annotated[str | None, typer.Option("--pretrain-data", help=f"Such as 'ImageNet-1k'; {_UNSAID}.")]
StatedEpochs = Annotated[float | None, typer.Option("--epochs", help=f"Pretraining's; {_UNSAID}.", min=0, metavar="N")]
NOTHING: list[str] = []
NO_NUMBERS: list[float] = []
ONE_SEED = [0]
Target = Literal["mmdet", "mmseg", "detectron2", "hf-safetensors", "timm", "torchvision"]
Mode = Literal["finetune", "frozen", "linear"]
Precision = Literal["float32", "bfloat16"]
