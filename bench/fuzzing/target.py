"""What is fuzzed: valid files to begin with, and the call that must accept or refuse them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from .mutations import SPECIAL_FILES, Tree

_SPECIAL_SHARE = 0.03
"""Share of the inputs where a pipe or a link stands for the file."""
Spoil = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        name: What the table calls it.
        seeds: Makes the valid files; each tree lies below a folder of its own.
        spoil: Pattern of paths -> how such a file is spoilt; one file is in each input.
        attempt: Reads the folder; an InputError is a refusal, any other exception a fault.
        hostile: Inputs written by hand, tried first.
        writes: Patterns of files that reading may leave behind.
        names: One of these stands in every refusal.
        special: Whether a pipe or a link may stand for a file.
        elsewhere: Whether it may read what lies outside, because the user says where.
    """

    name: str
    seeds: Callable[[], list[Tree]]
    spoil: Mapping[str, Spoil]
    attempt: Callable[[Path], object]
    hostile: Callable[[], list[Tree]] = list
    writes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    elsewhere: bool = False
    special: bool = True
    prepared: list[list[Tree]] = field(default_factory=list, repr=False)

    def tree(self, number: int, seed: int) -> Tree:
        """Return the input of a number: the valid ones, those written by hand, then spoilt ones."""
        if not self.prepared:
            self.prepared.extend((self.seeds(), self.hostile()))
        seeds, hostile = self.prepared
        whole = [*seeds, *hostile]
        if number < len(whole):
            return whole[number]
        draw = random.Random(f"{self.name} {seed} {number}")
        tree = dict(draw.choice(seeds))
        paths = [path for path in sorted(tree) if self._spoiler(path) is not None]
        path = draw.choice(paths)
        spoil = self._spoiler(path)
        assert spoil is not None
        is_special = self.special and draw.random() < _SPECIAL_SHARE
        tree[path] = draw.choice(SPECIAL_FILES) if is_special else spoil(tree[path], draw)
        return tree

    def _spoiler(self, path: str) -> Spoil | None:
        return next((how for pattern, how in self.spoil.items() if fnmatch(path, pattern)), None)
