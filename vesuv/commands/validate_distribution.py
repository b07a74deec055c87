"""Whole validation volumes for each checkpoint and threshold, and the choice among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from vesuv.commands.members import (
    Predictor,
    checkpoint_path,
    file_digest,
    inference_settings,
    runtime_settings,
)
from vesuv.commands.prepare import open_prepared
from vesuv.commands.progress import windows_progress
from vesuv.config import Config
from vesuv.data.labels import IGNORE
from vesuv.data.store import Store, StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.distribution import Choice, Curve, choices, select, threshold_curve
from vesuv.evaluation.table import Cell, write_csv, write_json
from vesuv.report import figures
from vesuv.training.checkpoints import Checkpoint, read_checkpoint
from vesuv.training.machine import resolve
from vesuv.training.run import RunFolder, Selected

Curves = dict[str, list[Curve]]
"""Checkpoint -> one curve a validation case, in the cases' order."""


@dataclass(frozen=True)
class Distribution:
    """What was measured, and on which cases."""

    run: RunFolder
    cases: Sequence[StoredCase]
    curves: Curves
    candidates: Sequence[Choice]


def validate_distribution(
    run: Path,
    *,
    checkpoints: Sequence[str] | None = None,
    overlap: float | None = None,
    mirror: bool | None = None,
    device: str | None = None,
) -> Selected:
    """Measure every checkpoint at every threshold on the fold's validation cases, and select.

    Writes distribution/{cases.csv,summary.json,histogram.png} and selected.json into the run.

    Args:
        run: A run folder.
        checkpoints: Names of checkpoints to try; every one that is there when left out.
        overlap: Instead of inference.overlap.
        mirror: Instead of inference.mirror.
        device: Instead of runtime.device.

    Raises:
        InputError: No run, no such checkpoint, no validation cases, or other data than trained on.
    """
    folder = RunFolder.open(run)
    config = folder.config
    names = list(dict.fromkeys(checkpoints or folder.available()))
    paths = {name: checkpoint_path(folder, name) for name in names}
    if not paths:
        raise InputError(f"{run}: holds no checkpoint yet; train it first")
    cases = _validation_cases(folder, open_prepared(config))
    settings = inference_settings(config.inference, overlap, mirror)
    machine = resolve(runtime_settings(config.runtime, device))
    torch.set_num_threads(machine.threads)
    console = Console(highlight=False, soft_wrap=True)
    curves: Curves = {}
    for name, checkpoint, twin in _distinct(paths):
        if twin is None:
            predictor = Predictor([checkpoint], settings, machine)
            curves[name] = _measure(predictor, name, cases, config, console)
        else:
            console.print(f"{name}: the same weights as {twin}, not measured again", markup=False)
            curves[name] = curves[twin]
    candidates = [choice for name in names for choice in choices(name, curves[name])]
    chosen, why = select(candidates, config.selection)
    measured = Distribution(folder, cases, curves, candidates)
    selected = _write(
        measured, chosen, why, {**settings.model_dump(), "precision": machine.precision}
    )
    _show(console, measured, chosen, why)
    return selected


def _validation_cases(run: RunFolder, store: Store) -> list[StoredCase]:
    """The cases that the run was trained without, in the data that it was trained on."""
    if run.fingerprint != store.fingerprint:
        raise InputError(
            f"{run.path}: was trained on other data than {store.path} holds now; name the store "
            "of its training in data.store of its config.yaml"
        )
    cases = [store.cases[name] for name in run.validation_cases]
    if not cases:
        raise InputError(
            f"{run.path}: was trained on every case (--fold {run.fold}), none is left to validate "
            "on; select with the runs of the single folds"
        )
    if all(not case.block_counts[-1].any() for case in cases):
        raise InputError(f"{run.path}: every voxel of its validation cases is ignored; add labels")
    return cases


def _distinct(paths: dict[str, Path]) -> Iterator[tuple[str, Checkpoint, str | None]]:
    """Yield checkpoints with the name of an earlier one of the same weights, if there is one."""
    seen: dict[str, str] = {}
    for name, path in paths.items():
        checkpoint = read_checkpoint(path)
        digest = _weights_digest(checkpoint)
        yield name, checkpoint, seen.get(digest)
        seen.setdefault(digest, name)


def _weights_digest(checkpoint: Checkpoint) -> str:
    """Tell weights apart without keeping them: best and last are often the same."""
    digest = hashlib.sha256()
    for key, value in sorted(checkpoint.model.items()):
        digest.update(key.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _measure(
    predictor: Predictor,
    name: str,
    cases: Sequence[StoredCase],
    config: Config,
    console: Console,
) -> list[Curve]:
    """Predict each case whole and count it at every threshold."""
    found = []
    for number, case in enumerate(cases, start=1):
        title = f"{name} {number}/{len(cases)} {case.id}"
        with windows_progress(console, title) as progress:
            probs = predictor(case.image, case.statistics, progress)
        label = torch.from_numpy(case.label.copy())
        curve = threshold_curve(
            probs, label, label != IGNORE, config.selection.thresholds, config.labels.num_classes
        )
        best = max(curve.overlaps(), key=lambda overlap: overlap.dice)
        console.print(f"{title}: Dice up to {best.dice:.4f}", markup=False)
        found.append(curve)
    return found


def _write(measured: Distribution, chosen: Choice, why: str, settings: dict[str, Any]) -> Selected:
    """Write the run's distribution folder, and selected.json last."""
    run = measured.run
    digest = file_digest(run.checkpoint(chosen.checkpoint))
    selection = run.config.selection
    selected = {
        **asdict(chosen),
        "why": why,
        "tolerance": selection.tolerance,
        "band": selection.band,
        "checkpoint_sha256": digest,
        "inference": settings,
    }
    summary = {
        "run": run.path,
        "fold": run.fold,
        "cases": [case.id for case in measured.cases],
        "choices": [asdict(choice) for choice in measured.candidates],
        "pooled": _pooled(measured.curves),
        "selected": selected,
    }
    folder = run.path / "distribution"
    write_csv(folder / "cases.csv", _rows(measured))
    write_json(folder / "summary.json", summary)
    _draw(folder / "histogram.png", measured, chosen)
    write_json(run.path / "selected.json", selected)
    return Selected(chosen.checkpoint, chosen.threshold, digest)


def _rows(measured: Distribution) -> list[dict[str, Cell]]:
    return [
        {
            "checkpoint": name,
            "threshold": threshold,
            "id": case.id,
            "group": case.group,
            "judged_voxels": int(curve.matrices[0].sum()),
            **overlap.as_dict(),
        }
        for name, curves in measured.curves.items()
        for case, curve in zip(measured.cases, curves, strict=True)
        for threshold, overlap in zip(curve.thresholds, curve.overlaps(), strict=True)
    ]


def _pooled(curves: Curves) -> list[dict[str, Any]]:
    """Scores of all cases' voxels together, for each checkpoint and threshold."""
    return [
        {"checkpoint": name, "threshold": threshold, **overlap.as_dict()}
        for name, parts in curves.items()
        for pooled in [sum(parts[1:], start=parts[0])]
        for threshold, overlap in zip(pooled.thresholds, pooled.overlaps(), strict=True)
    ]


def _draw(path: Path, measured: Distribution, chosen: Choice) -> None:
    curves = measured.curves[chosen.checkpoint]
    lines = []
    for name in measured.curves:
        of_name = [choice for choice in measured.candidates if choice.checkpoint == name]
        thresholds = [choice.threshold for choice in of_name if choice.threshold is not None]
        predicted = [choice.predicted_fraction for choice in of_name]
        if thresholds:
            dice = [choice.dice for choice in of_name]
            lines.append(figures.ThresholdLine(name, thresholds, predicted, dice))
    figures.distribution(
        path,
        histogram=sum(curves[1:], start=curves[0]).histogram.numpy(),
        lines=lines,
        labelled_fraction=chosen.labelled_fraction,
        threshold=chosen.threshold,
        title=f"{measured.run.path}: {chosen}",
    )


def _show(console: Console, measured: Distribution, chosen: Choice, why: str) -> None:
    """Print the best two thresholds of each checkpoint by Dice, and what was chosen."""
    table = Table(title=f"{len(measured.cases)} validation cases, whole volumes")
    for column in ("checkpoint", "threshold", "Dice", "predicted", "labelled", "off by, a case"):
        table.add_column(column, justify="left" if column == "checkpoint" else "right")
    for name in measured.curves:
        of_name = [choice for choice in measured.candidates if choice.checkpoint == name]
        shown = sorted(of_name, key=lambda choice: -choice.dice)[:2]
        shown += [chosen] if chosen.checkpoint == name and chosen not in shown else []
        for choice in shown:
            table.add_row(
                f"{name} *" if choice == chosen else name,
                "-" if choice.threshold is None else f"{choice.threshold:g}",
                f"{choice.dice:.4f}",
                f"{choice.predicted_fraction:.2%}",
                f"{choice.labelled_fraction:.2%}",
                f"{choice.gap:.2%}",
            )
    console.print(table)
    console.print(f"selected {why}", markup=False)
    console.print(f"written: {measured.run.path / 'selected.json'}", markup=False)
