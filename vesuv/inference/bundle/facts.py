"""What runs record about training data and scores, for a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from vesuv.data.records import DatasetSummary, read_record
from vesuv.data.store import SUMMARY
from vesuv.errors import InputError
from vesuv.inference.members import Member
from vesuv.io.tables import read_json_or_none
from vesuv.runs.fields import Record, Share
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import NestedEstimate, RunFacts
from vesuv.types import Shape

AnyRecord = TypeVar("AnyRecord", bound=Record)


class _Round(Record):
    dice: Share | None = None


class HonestEstimate(NestedEstimate):
    """Scores of choices on the cases that were left out of the choice."""

    rounds: tuple[_Round, ...] = ()
    """Scores of each part that was left out."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lowest and highest Dice of the parts; None of fewer than two."""
        scores = [one.dice for one in self.rounds if one.dice is not None]
        return (min(scores), max(scores)) if len(scores) > 1 else None


class SelectionScores(Record):
    """The scores in selected.json or best.json."""

    dice: Share | None = None
    """Of the chosen settings on the cases that they were chosen on."""
    honest: HonestEstimate | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """What the runs of networks record about their training.

    Args:
        num_cases: Different training cases; None: not recorded.
        shapes: Their shapes in the prepared data; empty: not recorded.
        scores: Scores of each selection, equal ones once; empty: nothing was selected.
    """

    num_cases: int | None = None
    shapes: tuple[Shape, ...] = ()
    scores: tuple[SelectionScores, ...] = ()


def training_facts(members: Sequence[Member], best: Path | None = None) -> TrainingFacts:
    """Read what the runs of members record; what is missing or damaged is left out.

    Args:
        members: Checkpoints of runs.
        best: best.json that chose them; None: each run's own selection.
    """
    runs = [RunFolder(folder) for folder in dict.fromkeys(member.folder for member in members)]
    cases: dict[tuple[str, str], Shape | None] = {}
    is_recorded = True
    for run in runs:
        facts = _read(run.path / "run.json", RunFacts)
        is_recorded = is_recorded and facts is not None and bool(facts.train_cases)
        if facts is not None:
            shapes = _shapes(facts)
            cases |= {(facts.data_fingerprint, one): shapes.get(one) for one in facts.train_cases}
    return TrainingFacts(
        num_cases=len(cases) if is_recorded else None,
        shapes=tuple(shape for shape in cases.values() if shape is not None),
        scores=_scores(members, best),
    )


def _shapes(facts: RunFacts) -> dict[str, Shape]:
    """Return the shapes of the prepared cases; none where the store is no longer there."""
    if facts.store is None:
        return {}
    try:
        summary = read_record(Path(facts.store) / SUMMARY, DatasetSummary)
    except InputError:
        return {}
    return {name: case.shape for name, case in summary.cases.items()}


def _scores(members: Sequence[Member], best: Path | None) -> tuple[SelectionScores, ...]:
    """Return the scores of the selections; none where one does not tell of these weights."""
    if any(member.selected is None or member.is_outdated for member in members):
        return ()
    files = [RunFolder(member.folder).selected_file for member in members]
    records = [_read(file, SelectionScores) for file in ([best] if best else files)]
    scores = [one for one in records if one is not None]
    if len(scores) < len(records):
        return ()
    return tuple(one for number, one in enumerate(scores) if one not in scores[:number])


def _read(path: Path, kind: type[AnyRecord]) -> AnyRecord | None:
    try:
        return kind.model_validate(read_json_or_none(path))
    except ValidationError:
        return None
