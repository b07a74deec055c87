"""What evaluate does with instances: scores of cells in place of those of masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vesuv.cli.console import console
from vesuv.cli.progress import shown_progress
from vesuv.cli.tables import rich_table
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.instance_folders import (
    CSV,
    SUMMARY,
    InstancePictures,
    Truth,
    plan_instances,
    score_instances,
    scores_table,
)
from vesuv.report.cells import cell_triptych


def evaluate_instances(
    predictions: Sequence[Path],
    labels: Path,
    output: Path,
    truth: Truth,
    named: Sequence[LabelsConfig],
    other_options: Mapping[str, object],
    *,
    images: Path | None,
    dry_run: bool,
) -> None:
    """Score a folder of instances, and print the scores.

    Args:
        predictions: Folders; one.
        labels: Folder of labels.
        output: Folder of the results.
        truth: Whether labels hold a boundary, objects, or the instances' numbers.
        named: Label values that the call names; at most one.
        other_options: Option of masks -> whether it is given.
        images: Folder of images: draws pictures/<id>.png for each case.
        dry_run: Print what would be read and written.

    Raises:
        InputError: Options that do not fit instances.
        InputErrors: Some cases cannot be scored.
    """
    for option, is_given in other_options.items():
        if is_given:
            raise InputError(f"{option}: is for masks, found --instances; leave one of them out")
    if len(predictions) > 1:
        raise InputError(
            f"--predictions: instances of one folder are scored, found {len(predictions)}; call "
            "for each"
        )
    if truth != "foreground" and (truth == "boundary") != bool(named):
        raise InputError(
            "--instances boundary: needs --run, --config or --classes with the label values"
            if truth == "boundary"
            else "--instances ids: labels hold numbers of instances; leave the label values out"
        )
    out = console()
    if dry_run:
        for case in plan_instances(predictions[0], labels, output):
            out.print(f"would read: {case.prediction}, {case.label}")
        out.print(f"would write: {output / CSV}, {output / SUMMARY}")
        return
    schema = named[0] if named else None
    pictures = None if images is None else InstancePictures(images, cell_triptych)
    with shown_progress(out, "Scoring", "cases") as progress:
        folder = score_instances(
            predictions[0],
            labels,
            output,
            schema,
            truth=truth,
            pictures=pictures,
            progress=progress,
        )
    out.print(rich_table(scores_table(folder)))
    out.print(f"written: {output / CSV}, {output / SUMMARY}")
    if folder.faults:
        raise InputErrors(list(folder.faults))
