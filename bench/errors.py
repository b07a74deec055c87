"""Where do the wrong voxels of a mask lie?

Predicts labelled cubes with a run or a bundle, and counts false positives and false negatives by
kind: see `error_kinds.DESCRIPTIONS`. Each wrong voxel counts for the first kind that applies; the
column "also" counts all that fulfil the condition. Beside the Dice of a cube stands how much its
intensities differ from those of the training cubes. A picture of each cube shows slices with the
wrong voxels by kind, and worst.png the place of each kind where most of its voxels lie together.

The cases are those of the run's validation, on the files' own grid; with --cases any others of the
data set. The label has one foreground class.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from error_kinds import (
    DESCRIPTIONS,
    KindShare,
    conditions,
    contacts,
    first_kind,
    shares,
    total,
)
from error_pictures import Case, write_slices, write_worst_places

import vesuv
from vesuv.config import Config
from vesuv.config.data import DataConfig
from vesuv.data.case_paths import CasePaths
from vesuv.data.layouts import find_cases
from vesuv.data.phantom import BACKGROUND, SURFACE, UNLABELLED
from vesuv.io import formats
from vesuv.runs.folder import RunFolder
from vesuv.types import Array, Mask


@dataclass(frozen=True)
class Intensities:
    """Mean and standard deviation of the intensities of a cube."""

    mean: float
    std: float

    @classmethod
    def of_image(cls, image: Array) -> Intensities:
        return cls(float(image.mean()), float(image.std()))


def main() -> None:
    arguments = _arguments()
    changes = [f"inference.views={arguments.views}", *arguments.set]
    predictor = vesuv.load(arguments.run, checkpoint=arguments.checkpoint, changes=changes)
    config = predictor.config
    paths = _cases(config, arguments.data)
    held_out, trained = _ids(arguments, list(paths))
    cases = [_analyse(paths[one], predictor, arguments) for one in held_out]
    training = {one: Intensities.of_image(_image(paths[one])) for one in trained}
    print(_tables(cases, training))
    arguments.output.mkdir(parents=True, exist_ok=True)
    for case in cases:
        write_slices(case, arguments.output / f"{case.id}.png")
    write_worst_places(cases, arguments.output / "worst.png")
    content = {case.id: [asdict(one) for one in case.shares] for case in cases}
    text = json.dumps({"dice": {one.id: one.dice for one in cases}, "kinds": content}, indent=1)
    (arguments.output / "errors.json").write_text(text, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder or bundle")
    parser.add_argument("--checkpoint", help="checkpoint of the run (default: as vesuv.load)")
    parser.add_argument("--data", type=Path, help="data.root (default: that of the run)")
    parser.add_argument("--cases", nargs="+", help="ids (default: the run's validation cases)")
    parser.add_argument("--views", choices=("none", "mirror", "all"), default="none")
    parser.add_argument("--set", nargs="+", default=[], help="changes of section inference")
    parser.add_argument(
        "--objects",
        choices=("background", "foreground"),
        default="background",
        help="what touches: parts of the background (cells) or of the foreground (sheets)",
    )
    parser.add_argument(
        "--layers",
        type=Path,
        help="the same phantom made with `vesuv phantom --layers`, which tells where sheets touch",
    )
    parser.add_argument("--smallest", type=int, default=200, help="voxels of an object, at least")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    return parser.parse_args()


def _cases(config: Config, data: Path | None) -> dict[str, CasePaths]:
    changed: DataConfig = config.data
    if data is not None:
        changed = changed.model_copy(update={"root": str(data)})
    return {case.id: case for case in find_cases(changed)}


def _ids(arguments: argparse.Namespace, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the cases to predict and those of the training; a bundle knows neither."""
    if not (arguments.run / "run.json").is_file():
        if arguments.cases is None:
            raise SystemExit("--cases: a bundle does not name its validation cases; list them")
        return arguments.cases, []
    facts = RunFolder.open(arguments.run).facts
    held_out = arguments.cases or list(facts.validation_cases)
    return held_out, [one for one in facts.train_cases if one in ids]


def _image(case: CasePaths) -> Array:
    return formats.read(case.images[0]).array


def _analyse(paths: CasePaths, predictor: vesuv.Predictor, arguments: argparse.Namespace) -> Case:
    labels = predictor.config.labels
    image, label = _image(paths), formats.read(paths.label).array
    mask = predictor.segment(image)
    background = labels.classes["background"]
    valid = np.ones(label.shape, bool) if labels.ignore is None else label != labels.ignore
    prediction, foreground = (mask != background) & valid, (label != background) & valid
    masks = conditions(
        prediction,
        foreground,
        valid,
        objects=arguments.objects,
        smallest=arguments.smallest,
        touching=_contacts(arguments.layers, paths, image) if arguments.layers else None,
    )
    dice = vesuv.evaluate(mask, label, ["dice"], ignore=labels.ignore)["dice"]
    return Case(
        paths.id,
        image,
        label,
        prediction,
        valid,
        first_kind(masks),
        shares(masks, prediction),
        dice,
    )


def _contacts(layers: Path, paths: CasePaths, image: Array) -> Mask:
    """Return where sheets of a case of the phantom touch."""
    other, label = (
        formats.read(layers / folder / f"{paths.id}.tif").array
        for folder in ("train_images", "train_labels")
    )
    if not np.array_equal(other, image):
        raise SystemExit(
            f"--layers: {paths.id} is another volume there; make it with equal options"
        )
    return contacts(label == SURFACE, (label == BACKGROUND) | (label == UNLABELLED))


def _tables(cases: Sequence[Case], training: Mapping[str, Intensities]) -> str:
    parts = [_kinds_table(f"{case.id}, Dice {case.dice:.4f}", case.shares) for case in cases]
    if len(cases) > 1:
        mean = fmean(case.dice for case in cases)
        title = f"all {len(cases)}, mean Dice {mean:.4f}"
        parts.append(_kinds_table(title, total([case.shares for case in cases])))
    return "\n\n".join([*parts, _shift_table(cases, training)])


def _kinds_table(title: str, rows: Sequence[KindShare]) -> str:
    wrong = max(sum(one.false_positives + one.false_negatives for one in rows), 1)
    positives = sum(one.false_positives for one in rows)
    lines = [
        f"{title}: {wrong} wrong voxels, {positives / wrong:.1%} of them false positives",
        "",
        "| kind | condition | share of wrong | false positives | false negatives | also |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows:
        counts = (one.false_positives + one.false_negatives, one.false_positives)
        cells = [one.kind, DESCRIPTIONS[one.kind]]
        cells += [f"{value / wrong:.1%}" for value in (*counts, one.false_negatives, one.any_wrong)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shift_table(cases: Sequence[Case], training: Mapping[str, Intensities]) -> str:
    """Return intensities beside Dice; shifts are in standard deviations of the training cubes."""
    lines = [
        "| cube | Dice | mean | std | shift of mean | ratio of std |",
        "|---|---|---|---|---|---|",
    ]
    mean = fmean(one.mean for one in training.values()) if training else float("nan")
    std = fmean(one.std for one in training.values()) if training else float("nan")
    for case in cases:
        own = Intensities.of_image(case.image)
        lines.append(
            f"| {case.id} | {case.dice:.4f} | {own.mean:.1f} | {own.std:.1f} "
            f"| {(own.mean - mean) / std:+.3f} | {own.std / std:.3f} |"
        )
    for name, one in training.items():
        lines.append(
            f"| {name} (training) | | {one.mean:.1f} | {one.std:.1f} "
            f"| {(one.mean - mean) / std:+.3f} | {one.std / std:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
