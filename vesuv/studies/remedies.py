"""Remedies of a run's findings, trained as arms of a study against the run's configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vesuv.config import Config, load_config
from vesuv.diagnosis.remedies import alternatives
from vesuv.errors import InputError, command
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runtime.machine import resolve
from vesuv.studies.comparison import PairedDifference, headline_columns, paired_difference
from vesuv.studies.processes import Worker
from vesuv.studies.records import Record
from vesuv.studies.run_study import run_study
from vesuv.studies.study_file import Arm, Budget, Study, StudySettings, is_shared
from vesuv.studies.tables import write_tables
from vesuv.training.train import with_absolute_paths
from vesuv.types import Say, silent

AS_IT_IS = "as it is"
TOGETHER = "all together"
_NO_TRAINING = ("validation", "selection", "inference", "checkpoint", "diagnosis")
"""Sections that change no step of the training."""
_SPEED = ("runtime.workers", "runtime.augment_on")
"""Keys that change the time of a step alone."""
_SAME_LENGTH = "all arms train equally long"
_LENGTH = re.compile(r"train\.(epochs|steps_per_epoch)|runtime\.max_minutes|phases\.\d+\.epochs.*")
"""Keys of the length of a run, which the budget sets."""

Settings = dict[str, str]
"""Dotted key -> value as written."""


@dataclass(frozen=True)
class _Base:
    """What all arms have in common."""

    file: Path
    changes: tuple[str, ...]
    budget: Budget

    def config_with(self, settings: Mapping[str, str]) -> Config:
        return load_config(self.file, [*self.changes, *_words(settings)])


def default_folder(run: RunFolder) -> Path:
    """Return the default folder of a run's remedies."""
    return run.path / "remedies"


def default_seeds(run: RunFolder) -> tuple[int, ...]:
    """Return the run's seed and the next one: two are the fewest that give an interval."""
    seed = run.config.runtime.seed
    return (seed, seed + 1)


def remedy_study(
    run: RunFolder, findings: Sequence[Finding], budget: Budget, seeds: Sequence[int], output: Path
) -> Study:
    """Return the study of a run's remedies: the run as it is, each remedy, and all together.

    Its notes name the remedies that are not tried, and why. Without a remedy that can be tried it
    has one arm.

    Args:
        run: The run.
        findings: Its findings, by priority: of two values for a key the first one is in the arm of
            all remedies.
        budget: Length of every training.
        seeds: Seeds of every arm.
        output: Folder of the study.

    Raises:
        InputError: The run has no validation cases, or its data lie in no folder.
    """
    base = _Base(run.config_file, _store_changes(run), budget)
    settings = StudySettings(
        base=str(run.config_file.resolve()),
        folds=(_fold_of(run),),
        seeds=tuple(seeds),
        budget=budget,
    )
    remedies, notes = _remedies(base, findings)
    if len(remedies) > 1:
        joint, conflicts = _joint(remedies)
        reason = _reason_against(base, joint)
        if joint in remedies.values():
            reason = "its changes are those of one remedy"
        if reason is None:
            remedies[TOGETHER] = joint
            notes += conflicts
        else:
            notes.append(f"{TOGETHER}: not tried, {reason}.")
    arms = (Arm(AS_IT_IS, ()), *(Arm(name, _words(one)) for name, one in remedies.items()))
    return Study(output, settings, arms, base.changes, tuple(notes))


def try_remedies(
    run: RunFolder, study: Study, worker: Worker, *, resume: bool = False, say: Say = silent
) -> tuple[tuple[Record, ...], list[str]]:
    """Train the arms of `remedy_study`; return their records and the conclusion.

    Args:
        run: The run.
        study: Its study, which is written into `study.path`.
        worker: Runs the jobs.
        resume: Go on with a study that was begun.
        say: Called with each message.

    Raises:
        InputError: The folder or the data cannot be used.
        Interrupted: A signal came; what was trained is saved.
    """
    records = run_study(study, study.path, worker, resume=resume, say=say).records
    sentences = conclusion(run, study, records)
    write_tables(replace(study, notes=(*study.notes, *sentences)), study.path, records)
    return records, sentences


def conclusion(run: RunFolder, study: Study, records: Sequence[Record]) -> list[str]:
    """Return which configuration to go on with, and the command that trains it."""
    column = next(iter(headline_columns(records)), "")
    differences = {
        arm.name: paired_difference(records, AS_IT_IS, arm.name, column) for arm in study.arms[1:]
    }
    differences = {name: one for name, one in differences.items() if one.num_pairs}
    if not differences:
        return [f"No remedy can be compared: it and {AS_IT_IS!r} have no finished run in common."]
    better = {name: one for name, one in differences.items() if one.interval.low > 0}
    best = max(better or differences, key=lambda name: differences[name].mean)
    sentence = _sentence(study, column, best, differences[best], is_better=bool(better))
    if differences[best].mean <= 0:
        return [sentence]
    changes = next(arm.changes for arm in study.arms if arm.name == best)
    return [sentence, f"Go on with: {next_command(run, best, changes)}"]


def next_command(run: RunFolder, arm: str, changes: Sequence[str]) -> str:
    """Return the command that trains a run's configuration with changes, beside the run.

    It names the file and the changes that the run was started with; the run's own config.yaml
    where that file is no longer the run's configuration.
    """
    facts = run.facts
    file, earlier = str(run.config_file), _store_changes(run)
    if facts.config_file is not None:
        with suppress(InputError):
            started_with = load_config(facts.config_file, facts.overrides)
            if with_absolute_paths(started_with) == run.config:
                file, earlier = facts.config_file, facts.overrides
    keys = {_key(change) for change in changes}
    kept = [change for change in earlier if _key(change) not in keys]
    output = run.path.with_name(f"{run.path.resolve().name}_{arm.replace(' ', '_')}")
    words = ["--config", file, "--fold", str(facts.fold), "--set", *kept, *changes]
    return command("train", *words, "--output", output)


def _sentence(
    study: Study, column: str, best: str, difference: PairedDifference, *, is_better: bool
) -> str:
    size = f"{column} {difference.mean:+.4f}"
    if not math.isnan(difference.interval.low):
        low, high = difference.interval
        size += f", 95 % interval [{low:+.4f}, {high:+.4f}]"
    if is_better:
        return f"{best} is better than {AS_IT_IS!r}: {size}."
    seeds = study.settings.seeds
    more = " ".join(map(str, (*seeds, max(seeds) + 1, max(seeds) + 2)))
    advice = f"--seeds {more} --resume adds runs"
    if difference.num_pairs < 2:
        advice = f"one pair of runs gives no interval; {advice}"
    if difference.mean <= 0:
        return f"No remedy has a higher mean {column} than {AS_IT_IS!r} ({best}: {size}); {advice}."
    return f"{best} has the best mean, not told apart from {AS_IT_IS!r}: {size}; {advice}."


def _fold_of(run: RunFolder) -> int:
    fold = run.facts.fold
    if isinstance(fold, str):
        raise InputError(
            f"{run.path}: remedies are compared on validation cases, and fold {fold} has none; "
            "name a run of a numbered fold"
        )
    return fold


def _store_changes(run: RunFolder) -> tuple[str, ...]:
    """Return the change that names the prepared data of the run; none where its file does."""
    store = run.facts.store
    if store is None:
        raise InputError(
            f"{run.path}: its cases were in memory, so its remedies cannot be tried; train it from "
            "a folder of data"
        )
    return () if run.config.data.store is not None else (f"data.store={Path(store).resolve()}",)


def _remedies(base: _Base, findings: Sequence[Finding]) -> tuple[dict[str, Settings], list[str]]:
    """Return finding -> settings of the remedies that can be tried, and sentences on the others."""
    remedies: dict[str, Settings] = {}
    notes = []
    for finding in findings:
        settings, note = _first_that_can_be_tried(base, alternatives(finding.remedy))
        twin = next((name for name, one in remedies.items() if one == settings), None)
        if twin is not None:
            note = f"not tried, its change is that of {twin}"
        elif settings:
            remedies[finding.name] = settings
        if note:
            notes.append(f"{finding.name}: {note}.")
    return remedies, notes


def _first_that_can_be_tried(base: _Base, proposals: Sequence[Settings]) -> tuple[Settings, str]:
    """Return the first proposal that can be tried, and what is left out of it or why none can."""
    keys = [key for proposal in proposals for key in proposal]
    if not keys:
        return {}, "not tried, its remedy names no setting (see there what to do)"
    if base.budget.steps is not None and any(key in _SPEED for key in keys):
        return {}, "not tried, it changes the time of a step alone; give minutes in place of steps"
    reasons = []
    for proposal in proposals:
        settings = {key: value for key, value in proposal.items() if not _LENGTH.fullmatch(key)}
        reason = _reason_against(base, settings)
        if reason is None:
            left_out = ", ".join(key for key in proposal if key not in settings)
            note = f"tried without {left_out}, {_SAME_LENGTH}" if left_out else ""
            return _new_settings(base, settings), note
        reasons.append(reason)
    return {}, f"not tried, {reasons[0]}"


def _new_settings(base: _Base, settings: Settings) -> Settings:
    """Return the settings without those that the configuration has already."""
    config = base.config_with({})
    needed = dict(settings)
    for key in settings:
        with suppress(InputError):  # it may be valid only with the others
            if base.config_with({key: settings[key]}) == config:
                del needed[key]
    return needed


def _reason_against(base: _Base, settings: Settings) -> str | None:
    """Return why settings cannot be tried; None where they can."""
    if not settings:
        return _SAME_LENGTH
    if all(key.partition(".")[0] in _NO_TRAINING for key in settings):
        return f"{', '.join(settings)} concerns validation and prediction, no training"
    for key in settings:
        if key.startswith("labels."):
            return f"{key} changes what the scores count"
        if is_shared(key):
            return f"{key} is the same in all arms"
        runtime = base.config_with({}).runtime
        if key == "runtime.augment_on" and resolve(runtime).device.type == "cpu":
            return f"{key} needs a GPU"
    try:
        changed = base.config_with(settings)
    except InputError as fault:
        return f"the configuration refuses it: {str(fault).splitlines()[0]}"
    return "the configuration has it already" if changed == base.config_with({}) else None


def _joint(remedies: Mapping[str, Settings]) -> tuple[Settings, list[str]]:
    """Return the settings of all remedies, and a sentence for each key that one does not decide."""
    joint: Settings = {}
    sources: dict[str, str] = {}
    conflicts = []
    for name, settings in remedies.items():
        for key, value in settings.items():
            earlier = next((one for one in joint if _overlap(one, key)), None)
            if earlier is None:
                joint[key], sources[key] = value, name
            elif (earlier, joint[earlier]) != (key, value):
                conflicts.append(
                    f"{TOGETHER}: {earlier} is that of {sources[earlier]}, not {key} of {name}."
                )
    return joint, conflicts


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _words(settings: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in settings.items())


def _key(change: str) -> str:
    return change.partition("=")[0]
