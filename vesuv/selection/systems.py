"""Configurations and their ensembles, compared by what was chosen for each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from vesuv.config.training import SelectionConfig
from vesuv.selection.choice import Choice, rank
from vesuv.selection.search import Round
from vesuv.selection.source import Source
from vesuv.selection.verdict import Verdict

ALL_SUBSETS_UP_TO = 4
"""Configurations of which every ensemble is tried; of more, the pairs and the whole."""


@dataclass(frozen=True)
class System:
    """A configuration, or the mean of several, with the best way to make masks of it."""

    name: str
    parts: tuple[str, ...]
    """Names of the configurations."""
    verdict: Verdict

    @property
    def chosen(self) -> Choice:
        """What was chosen for it."""
        return self.verdict.found.chosen


def ensembles(singles: Sequence[str]) -> list[tuple[str, ...]]:
    """Return which configurations are averaged: every two and more of up to four."""
    num = len(singles)
    sizes = range(2, num + 1) if num <= ALL_SUBSETS_UP_TO else sorted({2, num})
    return [some for size in sizes for some in itertools.combinations(singles, size)]


def average(sources: Sequence[Source]) -> Source:
    """Return the mean of several sources, case by case."""
    caches = {
        case: tuple(cache for source in sources for cache in source.caches[case])
        for case in sources[0].caches
    }
    return Source(" + ".join(source.name for source in sources), caches)


def rank_systems(systems: Sequence[System], config: SelectionConfig) -> list[System]:
    """Order systems by the rule that orders candidates; of equals the one named first."""
    left = list(systems)
    ranked = []
    for choice in rank([system.chosen for system in systems], config):
        ranked.append(next(system for system in left if system.chosen == choice))
        left.remove(ranked[-1])
    return ranked


def nested_rounds(systems: Sequence[System], config: SelectionConfig) -> list[Round]:
    """Choose among systems without each part too: the system that is best on the rest."""
    by_part: dict[str, list[Round]] = {}
    for system in systems:
        for one in system.verdict.found.rounds:
            by_part.setdefault(one.left_out, []).append(one)
    chosen = []
    for rounds in by_part.values():
        best = rank([one.seen for one in rounds], config)[0]
        chosen.append(next(one for one in rounds if one.seen == best))
    return chosen
