"""Jobs of a study in the order in which they run, and their checked configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vesuv.config import load_config
from vesuv.config.labels import LabelsConfig, Targets
from vesuv.curves.config import CurvesConfig
from vesuv.data.builder import open_or_prepare_store
from vesuv.data.folds import load_folds
from vesuv.data.splits import splits_file
from vesuv.data.store import store_path
from vesuv.errors import InputError, InputErrors
from vesuv.studies import detectors
from vesuv.studies.detectors import StudyConfig, load_study_config
from vesuv.studies.records import Job, run_name
from vesuv.studies.study_file import Arm, Study
from vesuv.training.run_length import length_changes

_LABELS = "labels."
_STORED_KEYS = ("data.spacing", "labels.classes", "labels.ignore")
"""Keys that the prepared data depend on: an arm that changes one has a store of its own."""


def arm_configs(study: Study) -> dict[str, StudyConfig]:
    """Return the configuration of each arm, without budget and seed.

    Raises:
        InputError: The base or an arm is wrong; names the arm and the key.
    """
    configs: dict[str, StudyConfig] = {}
    _check_base(study)
    faults = detectors.study_faults(study) if study.is_of_curves else []
    for arm in study.arms:
        try:
            configs[arm.name] = load_study_config(study.base, _own_changes(study, arm))
            scored_checkpoint(study, configs[arm.name])
        except InputError as fault:
            sentences = fault.faults if isinstance(fault, InputErrors) else [str(fault)]
            faults += [f"{study.path}: arms.{arm.name}: {text}" for text in sentences]
    if not faults:
        faults = _label_faults(study, configs)
    if faults:
        raise InputErrors(faults)
    return configs


def _check_base(study: Study) -> None:
    """Refuse what is wrong in all arms: the base, study.set or --set."""
    try:
        load_study_config(study.base, study.changes)
    except InputError as fault:
        if not study.settings.set:
            raise
        texts = fault.faults if isinstance(fault, InputErrors) else [str(fault)]
        raise InputErrors([f"{study.path}: study.set or {text}" for text in texts]) from None


def scored_checkpoint(study: Study, config: StudyConfig) -> str:
    """Return the name of the checkpoint that is scored.

    Raises:
        InputError: The arm does not write it.
    """
    name = study.settings.score.checkpoint
    if isinstance(config, CurvesConfig):
        return detectors.validated_checkpoint(config, name)
    averages = {"ema": config.averaging.ema, "swa": config.averaging.swa}
    if name == "auto":
        return next((kind for kind, section in averages.items() if section is not None), "last")
    if name in averages and averages[name] is None:
        raise InputError(
            f"study.score.checkpoint: is {name}, and averaging.{name} is off; turn it on, or use "
            "auto"
        )
    return name


def prepare_data(study: Study, configs: Mapping[str, StudyConfig]) -> None:
    """Prepare the data of all arms, and check the folds.

    Raises:
        InputError: The data are wrong, or have no such fold.
    """
    checked: set[Path] = set()
    for config in configs.values():
        if isinstance(config, CurvesConfig):
            detectors.check_logs(study, config)
            break  # the logs of all arms are the same
        if store_path(config) in checked:
            continue
        checked.add(store_path(config))
        store = open_or_prepare_store(config)
        num_folds = load_folds(store, config.data.folds, splits_file(config.data)).num
        for fold in study.settings.folds:
            if fold >= num_folds:
                raise InputError(
                    f"{study.path}: study.folds: the data have folds 0 to {num_folds - 1}, found "
                    f"{fold}; leave it out"
                )


def jobs_in_turn(
    study: Study, output: Path, configs: Mapping[str, StudyConfig], num_steps: Mapping[str, int]
) -> list[Job]:
    """Return the jobs: all arms of a fold and seed, then those of the next.

    Args:
        study: The study.
        output: Its folder.
        configs: Configuration of each arm.
        num_steps: Length of each arm's runs; an arm that is not in it has no jobs.
    """
    settings = study.settings
    return [
        make_job(study, output, arm, configs[arm.name], fold, seed, num_steps=num_steps[arm.name])
        for fold in settings.folds
        for seed in settings.seeds
        for arm in study.arms
        if arm.name in num_steps
    ]


def make_job(
    study: Study,
    output: Path,
    arm: Arm,
    config: StudyConfig,
    fold: int,
    seed: int,
    *,
    num_steps: int | None = None,
) -> Job:
    """Return one job; without a number of steps its length is that of the configuration."""
    length = [] if num_steps is None else _length_changes(config, num_steps)
    score, folders = study.settings.score, study.settings.held_out
    held_out = None
    if folders is not None:
        held_out = (Path(folders.images), Path(folders.labels))
    return Job(
        arm=arm.name,
        fold=fold,
        seed=seed,
        base=study.base,
        changes=(
            *_own_changes(study, arm),
            *length,
            f"runtime.seed={seed}",
            "runtime.max_minutes=null",
        ),
        run=output / arm.folder / run_name(fold, seed),
        checkpoint=scored_checkpoint(study, config),
        measures=tuple(detectors.COLUMNS) if study.is_of_curves else score.measures,
        selection=score.selection,
        held_out=held_out,
        labels=labels_of_scores(study),
    )


def _length_changes(config: StudyConfig, num_steps: int) -> list[str]:
    if isinstance(config, CurvesConfig):
        return detectors.length_changes(config, num_steps)
    return length_changes(config, num_steps)


def labels_of_scores(study: Study) -> LabelsConfig | None:
    """Return how the first arm reads labels, if an arm's scores would be those of others."""
    if not any(change.startswith(_LABELS) for arm in study.arms for change in arm.changes):
        return None
    first, *others = (load_config(study.base, _own_changes(study, arm)) for arm in study.arms)
    return None if all(_scored_alike(first.labels, o.labels) for o in others) else first.labels


def _label_faults(study: Study, configs: Mapping[str, StudyConfig]) -> list[str]:
    """Return a sentence for each arm whose scores would be those of other labels or targets."""
    labels = labels_of_scores(study)
    faults = []
    for name, config in configs.items():
        if labels is None or isinstance(config, CurvesConfig):
            continue
        if _scored_alike(labels, config.labels):
            continue
        place = f"{study.path}: arms.{name}: labels:"
        if study.settings.held_out is None:
            faults.append(
                f"{place} differ from the first arm's, and scores of validation cases would be "
                "those of different labels; give study.held_out, whose labels are read as the "
                "first arm does"
            )
        elif _judged(labels.targets) != _judged(config.labels.targets):
            faults.append(
                f"{place} must have the first arm's targets {labels.targets.names}, found "
                f"{config.labels.targets.names}; rename the classes"
            )
    return faults


def _scored_alike(labels: LabelsConfig, other: LabelsConfig) -> bool:
    """Return whether scores by two readings of the labels can be compared.

    Regions of one class each are the classes, predicted by a head each.
    """
    readings = [(one.values(), one.ignore, _judged(one.targets)) for one in (labels, other)]
    return readings[0] == readings[1]


def _judged(targets: Targets) -> Targets:
    """Return the targets whether or not they may overlap."""
    return replace(targets, overlap=False)


def _own_changes(study: Study, arm: Arm) -> tuple[str, ...]:
    """Return the changes of the command line and of the arm."""
    changes = (*study.changes, *arm.changes)
    if study.is_of_curves or not _needs_store(arm.changes):
        return changes
    store = store_path(load_config(study.base, study.changes))
    return (*changes, f"data.store={store}_{arm.folder}")


def _needs_store(changes: Sequence[str]) -> bool:
    return any(change.startswith(_STORED_KEYS) for change in changes)
