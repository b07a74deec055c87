"""Threshold and post-processing of an ensemble: the user's, else the selected, else configured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vesuv.config import Config
from vesuv.config.data import PROBABILITY_STEPS
from vesuv.config.postprocess import Chain, begins_with_cut
from vesuv.errors import InputError, command
from vesuv.inference.masks import EVEN_THRESHOLD, ClassCut, MaskSettings
from vesuv.inference.members import Member


@dataclass(frozen=True)
class ChosenMask:
    """Threshold and post-processing of an ensemble, each with its origin in a sentence."""

    settings: MaskSettings
    threshold_reason: str
    chain_reason: str


def configured_threshold(config: Config) -> float | None:
    """Return the threshold that is used without a selection; None: the likeliest class."""
    has_softmax = config.model.out_channels > 1 and not config.labels.targets.overlap
    return None if has_softmax else config.validation.threshold


def configured_mask_settings(config: Config) -> MaskSettings:
    """Return threshold and post-processing that are used without a selection."""
    return MaskSettings.alike(
        config.labels.targets, configured_threshold(config), config.inference.postprocess
    )


def choose_mask(
    members: Sequence[Member], threshold: float | None = None, postprocess: str | None = None
) -> ChosenMask:
    """Choose threshold and post-processing of each class: the user's, else selected, else default.

    Args:
        members: Checkpoints. Their selected thresholds are averaged. Where their post-processing
            differs, that of most members counts; in a tie, that of the first run among them.
        threshold: Threshold of the user, for every class.
        postprocess: "none" to leave all steps out, from the user.

    Raises:
        InputError: The threshold or `postprocess` is invalid, or does not apply here.
    """
    targets = members[0].config.labels.targets
    choices = [_choose_cut(members, name, threshold, postprocess) for name in targets.names]
    settings = MaskSettings(tuple(cut for cut, _, _ in choices), targets)
    return ChosenMask(
        settings,
        _joined(targets.names, [reason for _, reason, _ in choices]),
        _joined(targets.names, [reason for _, _, reason in choices]),
    )


def _joined(names: Sequence[str], reasons: Sequence[str]) -> str:
    """Return the reasons of all classes as one text; once if they are equal."""
    if len(set(reasons)) == 1:
        return reasons[0]
    return "; ".join(f"{name}: {reason}" for name, reason in zip(names, reasons, strict=True))


def _choose_cut(
    members: Sequence[Member], target: str, threshold: float | None, postprocess: str | None
) -> tuple[ClassCut, str, str]:
    """Choose for one class or region; also return the origins of threshold and steps."""
    chain, chain_reason = _chain(members, target, postprocess)
    if not begins_with_cut(chain):
        value, reason = _threshold(members, target, threshold)
        if value is not None and 0.0 < value < 1 / PROBABILITY_STEPS:
            raise InputError(
                f"{reason}: probabilities are cut in steps of {1 / PROBABILITY_STEPS:g}; give "
                f"--threshold 0, or a value from {1 / PROBABILITY_STEPS:g} up"
            )
        return ClassCut(value, chain), reason, chain_reason
    first = chain[0].name
    if threshold is not None:
        raise InputError(
            f"--threshold: post-processing begins with a {first} of its own, found {threshold}; "
            "leave it out, or add --postprocess none"
        )
    return ClassCut(None, chain), f"{first} of the post-processing", chain_reason


def _chain(members: Sequence[Member], target: str, requested: str | None) -> tuple[Chain, str]:
    if requested == "none":
        return (), "no post-processing, from the command line"
    if requested is not None:
        raise InputError(f"--postprocess: must be none, found {requested!r}; or leave it out")
    chains = [member.postprocess(target) for member in members]
    (chain, votes), *others = Counter(chains).most_common()
    names = ", ".join(step.name for step in chain)
    source = members[chains.index(chain)]
    cut = source.selected_cut(target)
    reason = f"post-processing: {names}" if chain else "no post-processing"
    is_selected = cut is not None and cut.postprocess is not None
    reason += ", as selected" if is_selected else ", as in inference.postprocess"
    if others:
        reason += f" for {source.folder}; the runs differ, {votes} of {len(members)} have this"
    return chain, reason


def _threshold(
    members: Sequence[Member], target: str, requested: float | None
) -> tuple[float | None, str]:
    """Return the threshold and its origin; None for the likeliest class."""
    if requested is not None:
        if not 0.0 <= requested <= 1.0:
            raise InputError(f"--threshold: must be from 0 to 1, found {requested}")
        return requested, f"threshold {requested:g}, from the command line"
    thresholds = [one.threshold(target) for one in members]
    unselected = ", ".join(
        f"{m.folder} ({m.name})" for m in members if m.selected_cut(target) is None
    )
    note = f"; nothing was selected for {unselected}"
    if any(m.bundle_files is None and m.selected_cut(target) is None for m in members):
        note += f": {command('validate_distribution')} does"
    default = configured_threshold(members[0].config)
    selected = [
        value
        for member, value in zip(members, thresholds, strict=True)
        if member.selected_cut(target) is not None
    ]
    if default is None:
        selected = [EVEN_THRESHOLD if value is None else value for value in selected]
    numbers = [value for value in selected if value is not None]
    if not numbers:
        if default is None:
            return None, "the likeliest class"
        return default, f"threshold {default:g}, from validation.threshold{note}"
    mean = numbers[0]
    if len(set(numbers)) > 1:
        mean = round(sum(numbers) / len(numbers), 6)
    origin = "selected for the run" if len(members) == 1 else "the mean of the runs' selected"
    return mean, f"threshold {mean:g}, {origin}{note if unselected else ''}"
