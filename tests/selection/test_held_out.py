"""Which settings the cached probabilities of a run's held-out cases depend on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.known_runs import MakeRun
from vesuv.inference.members import trained_config
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.selection.held_out import HeldOutRun


def _held_out(run: RunFolder, changes: Sequence[str] = ()) -> HeldOutRun:
    config = trained_config(run, changes)
    return HeldOutRun(run, config, (), resolve(config.runtime), "raw")


@pytest.mark.parametrize(
    "change", ["inference.views=mirror", "inference.overlap=0.25", "inference.average=logits"]
)
def test_probabilities_of_other_inference_settings_are_not_read(
    make_run: MakeRun, change: str
) -> None:
    run = make_run("a")

    former = _held_out(run).cache("best").folder

    assert _held_out(run).cache("best").folder == former
    assert _held_out(run, [change]).cache("best").folder != former


def test_probabilities_do_not_depend_on_what_is_done_with_them(make_run: MakeRun) -> None:
    run = make_run("a")
    change = "inference.postprocess=[{name: remove_small, voxels: 9}]"

    assert _held_out(run, [change]).cache("best").folder == _held_out(run).cache("best").folder


def test_an_ensemble_depends_on_its_members_and_their_weights(make_run: MakeRun) -> None:
    first, second, third = (_held_out(make_run(name, seed=n)) for n, name in enumerate("abc"))

    def folder(*members: HeldOutRun) -> Path:
        return members[0].ensemble_cache([(one, "best") for one in members]).folder

    assert folder(first, second) == folder(first, second)
    assert folder(first, second) != folder(first, third)
    assert folder(first, second) != folder(first)
