"""Every command's arguments; each reads its input and calls one entry function.

Verbs import what they need when they run: `vesuv --help` answers without loading torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vesuv import __version__
from vesuv.cli.arguments import spread
from vesuv.errors import RESUME, InputError, InputErrors, Interrupted

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, select and explain 3D segmentation of thin, rare, self-touching structures.",
)

ConfigFile = Annotated[Path, typer.Option("--config", help="Configuration file (YAML).")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Changes to the configuration: section.key=value …"),
]
Runs = Annotated[list[Path], typer.Option("--run", help="Run folders, log/<config>/fold_<k> …")]
Overlap = Annotated[
    float | None, typer.Option(help="Share that windows overlap (default: the run's).")
]
Mirror = Annotated[
    bool | None,
    typer.Option("--mirror/--no-mirror", help="Average over flips (default: the run's)."),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (default: the run's).")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        Console().print(__version__)
        raise typer.Exit


@app.command("prepare")
def prepare(
    config: ConfigFile,
    changes: Changes = None,
    overwrite: Annotated[bool, typer.Option(help="Prepare again from the start.")] = False,
) -> None:
    """Read the raw data, check every case, write the store and its summary."""
    from vesuv.cli.prepare import prepare as entry
    from vesuv.config import load_config

    entry(load_config(config, changes or ()), overwrite=overwrite)


@app.command()
def train(
    config: ConfigFile,
    fold: Annotated[list[str], typer.Option("--fold", help="Fold numbers …, or all.")],
    changes: Changes = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run (default log/<config>/fold_<k>).")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from checkpoints/last.pt.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Start again where a run lies already.")] = False,
) -> None:
    """Train one fold or several in sequence; on several GPUs: torchrun … bin/train.py …"""
    from vesuv.cli.prepare import open_or_prepare
    from vesuv.config import load_config
    from vesuv.runtime.distributed import joined
    from vesuv.training.train import Source
    from vesuv.training.train import train as entry

    with joined() as group:
        entry(
            load_config(config, changes or ()),
            [_fold(text) for text in fold],
            output=output,
            resume=resume,
            overwrite=overwrite,
            source=Source(config, tuple(changes or ())),
            group=group,
            open_store=open_or_prepare,
        )


@app.command("validate_distribution")
def validate_distribution(
    run: Runs,
    checkpoint: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="Checkpoints to try … (default all).")
    ] = None,
    overlap: Overlap = None,
    mirror: Mirror = None,
    device: Device = None,
    changes: Changes = None,
) -> None:
    """Choose checkpoint, cut and post-processing on whole held-out volumes, jointly for folds."""
    from vesuv.selection.validation import validate_distribution as entry

    entry(
        *run,
        checkpoints=checkpoint,
        overlap=overlap,
        mirror=mirror,
        device=device,
        changes=changes or (),
    )


@app.command("find_best")
def find_best(
    run: Runs,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("best.json"),
    checkpoint: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="Checkpoints to try … (default all).")
    ] = None,
    overlap: Overlap = None,
    mirror: Mirror = None,
    device: Device = None,
    changes: Changes = None,
) -> None:
    """Choose among configurations and their ensembles on held-out volumes."""
    from vesuv.selection.find_best import find_best as entry
    from vesuv.selection.out_of_fold import FoldOptions

    options = FoldOptions(checkpoint, overlap, mirror, device, tuple(changes or ()))
    entry(run, output, options)


@app.command("predict")
def predict(
    source: Annotated[Path, typer.Option("--input", help="A volume, or a folder of volumes.")],
    output: Annotated[Path, typer.Option(help="Folder of masks and provenance.json.")],
    run: Annotated[
        list[Path] | None, typer.Option("--run", help="Run folders, log/<config>/fold_<k> …")
    ] = None,
    best: Annotated[
        Path | None, typer.Option(help="best.json of find_best, in place of --run.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Checkpoint (default: the selected one).")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Threshold (default: the selected one).")
    ] = None,
    postprocess: Annotated[
        str | None, typer.Option(help="none: leave post-processing out (default: as selected).")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write probabilities as well.")
    ] = False,
    submission: Annotated[
        Path | None, typer.Option(help="Write a submission.zip of uint8 <id>.tif masks.")
    ] = None,
    overlap: Overlap = None,
    mirror: Mirror = None,
    device: Device = None,
) -> None:
    """Predict volumes with one run, or with several averaged (fold ensemble)."""
    from vesuv.inference.files import PredictOptions
    from vesuv.inference.files import predict as entry

    options = PredictOptions(
        best=best,
        checkpoint=checkpoint,
        threshold=threshold,
        postprocess=postprocess,
        probabilities=probabilities,
        submission=submission,
        mirror=mirror,
        overlap=overlap,
        device=device,
    )
    entry(run or [], source, output, options)


@app.command("evaluate")
def evaluate(
    predictions: Annotated[
        list[Path], typer.Option("--predictions", help="Folder of masks; more: compared with it.")
    ],
    labels: Annotated[Path, typer.Option(help="Folder of labels, matched by name.")],
    measures: Annotated[
        list[str] | None,
        typer.Option(
            "--measures",
            help="Beside the overlap: surface_dice@1,2 hd95 assd cldice surface_cldice betti voi "
            "fraction …, or all.",
        ),
    ] = None,
    leaderboard: Annotated[
        str, typer.Option(help="Leaderboard score: exact, bounds (cheaper in noise) or none.")
    ] = "none",
    ignored: Annotated[
        str,
        typer.Option(help="To leaderboard, surface Dice, VOI ignored is: background or excluded."),
    ] = "background",
    run: Annotated[Path | None, typer.Option(help="Run whose label values are used.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration whose label values are used.")
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV with columns id,scroll_id.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images: draw image | label | prediction.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    require_dice: Annotated[
        float | None, typer.Option(help="Fail when the mean Dice is below this.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: for the machine).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Score again what was scored before.")
    ] = False,
) -> None:
    """Score predictions against labels, by case and group; compare folders of predictions."""
    from vesuv.cli.evaluate import evaluate as entry

    entry(
        predictions,
        labels,
        measures=measures or (),
        leaderboard=leaderboard,
        ignored=ignored,
        run=run,
        config=config,
        groups=groups,
        images=images,
        output=output,
        require_dice=require_dice,
        workers=workers,
        overwrite=overwrite,
    )


@app.command("diagnose")
def diagnose(run: Runs) -> None:
    """Say what is the matter with runs and what to do about it; several are compared."""
    from vesuv.cli.diagnose import diagnose_runs

    diagnose_runs(run)


@app.command("phantom")
def phantom(
    output: Annotated[Path, typer.Option(help="Folder of the data set.")],
    cases: Annotated[int, typer.Option(min=2, help="Training volumes.")] = 6,
    held_out: Annotated[int, typer.Option(min=0, help="Volumes kept out, test_images/.")] = 1,
    size: Annotated[int, typer.Option(min=32, help="Edge in voxels.")] = 96,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Make a data set of rolled sheets in the Kaggle layout."""
    from vesuv.cli.phantom import phantom as entry

    entry(output, cases=cases, held_out=held_out, size=size, seed=seed, overwrite=overwrite)


def _fold(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if not text.isdigit():
        raise InputError(f"--fold: must be a number from 0, or all; found {text!r}")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Exit status: 0 = done, 2 = the input is wrong, 75 = saved on a signal, go on with --resume,
    1 = a fault of ours.
    """
    try:
        app(spread(sys.argv[1:] if arguments is None else arguments))
    except InputError as fault:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for sentence in fault.faults if isinstance(fault, InputErrors) else [str(fault)]:
            console.print(f"error: {sentence}", markup=False)
        sys.exit(2)
    except Interrupted as request:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(request), markup=False)
        sys.exit(RESUME)
