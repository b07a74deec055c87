"""Selection of the parameters of instances on the held-out volumes of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vesuv.data.store import StoredCase
from vesuv.errors import InputError, command
from vesuv.evaluation.instances import InstanceScores
from vesuv.inference.best_file import read_best
from vesuv.inference.instances.fragments import watershed_library
from vesuv.inference.instances.segmentation import HALO, INSTANCE_BLOCK
from vesuv.io.places import check_no_links
from vesuv.io.tables import read_json_or_none, write_json
from vesuv.runs.folder import RunFolder
from vesuv.selection.best_ensemble import BestEnsemble
from vesuv.selection.candidate_scores import Part
from vesuv.selection.held_out import HeldOutRun, open_held_out, predict_held_out
from vesuv.selection.instance_search import (
    InstanceCandidate,
    InstanceSearch,
    NestedInstances,
    search_instances,
)
from vesuv.selection.instance_truth import Boundary, Foreground, Numbers, numbers_of_cases
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.selection.summary import nested_parts
from vesuv.selection.validation import lock_runs
from vesuv.types import Say, ShowProgress, no_shown_progress, silent


@dataclass(frozen=True)
class InstanceChoice:
    """The parameters of instances that were chosen for some runs, and how good they are."""

    runs: tuple[RunFolder, ...]
    """Runs that the choice was made with."""
    kind: Boundary
    """Class that separates instances, or whose objects they are."""
    search: InstanceSearch
    chosen: InstanceCandidate
    part_kind: str
    """What the honest estimate leaves out at a time: fold, group or case."""
    nested: tuple[NestedInstances, ...]
    """The honest estimate; empty for a single case."""
    files: tuple[Path, ...] = ()
    """Files that hold the choice."""

    @property
    def scores(self) -> dict[str, float]:
        """Mean scores over the cases, which the choice was made on."""
        return mean_scores(self.search.of(self.chosen))

    @property
    def honest_scores(self) -> dict[str, float] | None:
        """Mean scores over the cases, each with parameters that were chosen without it."""
        rows = [row for one in self.nested for row in one.scores]
        return mean_scores(rows) if rows else None


def select_instances(
    runs: Sequence[str | Path] = (),
    *,
    best: str | Path | None = None,
    boundary: str | None = None,
    foreground: str | None = None,
    labels: str | Path | None = None,
    anonymous: bool = False,
    checkpoints: Sequence[str] | None = None,
    changes: Sequence[str] = (),
    say: Say = silent,
    show_progress: ShowProgress = no_shown_progress,
) -> InstanceChoice:
    """Choose checkpoint and parameters of instances by VOI on the held-out cases of runs.

    Instances are made as `segment_instances` makes them, on the files' own grids, and compared with
    the cells of the files' own labels: the 6-connected components of all but the boundary; for a
    foreground with its objects: its 26-connected components. Writes instances.json into each run.
    Needs the extra `instances`.

    Args:
        runs: A run folder, or the run folders of several folds, which get one joint choice.
        best: best.json of find_best, in place of `runs`: its ensemble gets a choice, which is
            written beside it.
        boundary: Class or region that separates instances; default: the only one.
        foreground: Class or region whose objects are the instances, such as nuclei; not together
            with a boundary.
        labels: Folder of volumes with the true numbers of instances, by case, or address of one
            with <case>.zarr; None: those of the labels, in which touching objects are one.
        anonymous: Read `labels` from s3 without credentials.
        checkpoints: Names of checkpoints to try; default: all that every run has.
        changes: `section.key=value` of inference, runtime, data.root or data.store.
        say: Called with each message.
        show_progress: Shows the progress of prediction and search.

    Raises:
        InputError: No run, no such checkpoint or class, no validation cases or no cells in their
            labels, other data than in training, or the extra is not installed.
    """
    watershed_library()
    truth = TruthOptions(boundary, foreground, labels, anonymous)
    if best is not None:
        return _select_of_best(Path(best), truth, changes, say, show_progress)
    paths = [Path(run) for run in runs]
    if not paths:
        raise InputError("--run: needs at least one run folder, found none; name log/<config>/fold")
    with lock_runs(paths):
        for path in paths:
            check_instances_file(RunFolder(path).instances_file)
        opened = open_held_out(paths, changes)
        held_out = truth.held_out(opened)
        predictions, _ = predict_held_out(opened, checkpoints, say, show_progress)
        choice = _choose(opened, predictions, held_out, say, show_progress)
        name = choice.chosen.checkpoint
        for one in opened:
            judged = {"checkpoint": name, "checkpoint_sha256": one.digest(name)}
            write_json(one.run.instances_file, _content(choice, judged, one.inference))
    return choice


def _select_of_best(
    path: Path,
    truth: TruthOptions,
    changes: Sequence[str],
    say: Say,
    show_progress: ShowProgress,
) -> InstanceChoice:
    """Choose parameters for the ensemble of a best.json, and write them beside it."""
    with lock_runs([Path(one.run) for one in read_best(path).members]):
        ensemble = BestEnsemble.open(path, changes)
        check_instances_file(ensemble.instances_file)
        held_out = truth.held_out(ensemble.runs)
        predictions = ensemble.predict(say, show_progress)
        choice = _choose(ensemble.runs, predictions, held_out, say, show_progress)
        choice = replace(choice, files=(ensemble.instances_file,))
        judged = {"members_sha256": ensemble.digests}
        inference = ensemble.runs[0].inference
        write_json(ensemble.instances_file, _content(choice, judged, inference))
    return choice


class _HeldOut(NamedTuple):
    """What predictions are compared with."""

    kind: Boundary
    cases: list[StoredCase]
    numbers: dict[str, Numbers] | None


class TruthOptions(NamedTuple):
    """Where the true instances come from, see `select_instances`."""

    boundary: str | None
    foreground: str | None
    labels: str | Path | None
    anonymous: bool

    def held_out(self, runs: Sequence[HeldOutRun]) -> _HeldOut:
        """Return the held-out cases of runs with their true instances."""
        kind = kind_of(runs, self.boundary, self.foreground)
        cases = sorted((case for one in runs for case in one.cases), key=lambda case: case.id)
        numbers = None
        if self.labels is not None:
            numbers = numbers_of_cases(self.labels, cases, anonymous=self.anonymous)
        return _HeldOut(kind, cases, numbers)


def _choose(
    runs: Sequence[HeldOutRun],
    predictions: Sequence[OofPredictions],
    held_out: _HeldOut,
    say: Say,
    show_progress: ShowProgress,
) -> InstanceChoice:
    """Search the parameters of the lowest VOI, and estimate it honestly."""
    kind, cases, numbers = held_out
    with show_progress("search", "fragmentations") as progress:
        search = search_instances(predictions, cases, kind, progress, numbers)
    folds = [[case.id for case in one.cases] for one in runs]
    part_kind, parts = nested_parts(search.cases, folds)
    folders, nested = tuple(one.run for one in runs), _nested(search, parts, say)
    files = tuple(run.instances_file for run in folders)
    return InstanceChoice(folders, kind, search, search.best(), part_kind, nested, files)


def _nested(
    search: InstanceSearch, parts: Mapping[str, Part], say: Say
) -> tuple[NestedInstances, ...]:
    """Choose without each part; none where such a choice fails on the part, with a message."""
    try:
        return tuple(search.nested(parts))
    except InputError as fault:
        say(f"no honest estimate: {fault}")
        return ()


def kind_of(runs: Sequence[HeldOutRun], boundary: str | None, foreground: str | None) -> Boundary:
    """Return the class that separates instances, or whose objects they are.

    Args:
        runs: Runs that were opened together, so that all have the same classes.
        boundary: Name of the class that separates instances.
        foreground: Name of the class whose objects they are.

    Raises:
        InputError: There is none of this name, or both are named.
    """
    if boundary is not None and foreground is not None:
        raise InputError("--foreground: excludes --boundary; name one of them")
    targets = runs[0].config.labels.targets
    return (
        Boundary.of(targets, boundary) if foreground is None else Foreground.of(targets, foreground)
    )


def check_instances_file(file: Path) -> None:
    """Refuse an instances.json that is a link, or not of a selection.

    Raises:
        InputError: It is.
    """
    check_no_links([file])
    if file.exists() and "parameters" not in (read_json_or_none(file) or {}):
        raise InputError(f"{file}: was not written by {command('instances')}; move it elsewhere")


def mean_scores(rows: Sequence[InstanceScores]) -> dict[str, float]:
    """Return the mean of each score."""
    columns = [_plain(row) for row in rows]
    return {name: float(np.mean([one[name] for one in columns])) for name in columns[0]}


def _plain(scores: InstanceScores) -> dict[str, float]:
    voi = scores.voi
    return {
        "voi": voi.split + voi.merge,
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "rand_error": scores.rand.error,
        **({} if scores.f1 is None else {"f1": scores.f1}),
    }


def _content(
    choice: InstanceChoice, judged: Mapping[str, Any], inference: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of instances.json.

    Args:
        choice: The choice.
        judged: Digests of the checkpoints that it was made with.
        inference: Settings that they predicted with.
    """
    chosen, kind = choice.chosen, choice.kind
    rows = zip(choice.search.cases, choice.search.of(chosen), strict=True)
    return {
        "parameters": chosen.parameters.model_dump(mode="json"),
        **judged,
        kind.role(): kind.name,
        "channel": kind.channel,
        "num_channels": kind.num_channels,
        **choice.scores,
        "honest": _honest(choice),
        "cases": [{"id": case.id, **_plain(row)} for case, row in rows],
        "runs": [run.path for run in choice.runs],
        "blocks": {"size": INSTANCE_BLOCK, "halo": HALO},
        "inference": dict(inference),
    }


def _honest(choice: InstanceChoice) -> dict[str, Any] | None:
    if choice.honest_scores is None:
        return None
    rounds = [
        {
            "left_out": one.part,
            "cases": len(one.scores),
            "checkpoint": one.chosen.checkpoint,
            "parameters": one.chosen.parameters.model_dump(mode="json"),
            **mean_scores(one.scores),
        }
        for one in choice.nested
    ]
    return {"left_out": choice.part_kind, **choice.honest_scores, "rounds": rounds}
