"""Choice of the parameters of instances, on phantoms with known cells and on a trained run."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import vesuv
from tests.balls import make_balls
from tests.cells import CellPhantom, make_cells
from vesuv.config.labels import TWO_CLASSES, Targets
from vesuv.data.labels import IGNORE
from vesuv.errors import InputError
from vesuv.evaluation.instances import (
    AdaptedRand,
    InstanceScores,
    compare_instances,
    compare_objects,
    label_cells,
    label_objects,
)
from vesuv.evaluation.voi import Voi
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.members import file_digest
from vesuv.io.formats import write
from vesuv.runs.folder import RunFolder
from vesuv.selection import instance_search, instances
from vesuv.selection.cache import ProbabilityCache
from vesuv.selection.instance_search import (
    InstanceCandidate,
    InstanceSearch,
    search_instances,
)
from vesuv.selection.instance_truth import Boundary, Foreground, numbers_of_cases
from vesuv.selection.instances import InstanceChoice, mean_scores
from vesuv.selection.oof_predictions import OofPredictions
from vesuv.types import no_progress

ONE_CLASS = Boundary.of(TWO_CLASSES, None)
SHAPE = (16, 24, 20)


def _phantoms(**noise: float) -> dict[str, CellPhantom]:
    return {
        name: make_cells(SHAPE, 5, seed=number, noise=one)
        for number, (name, one) in enumerate(noise.items())
    }


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., InstanceSearch]:
    """Return a function of phantoms, by case, that searches few parameters."""
    monkeypatch.setattr(instance_search, "SEED_THRESHOLDS", (0.3,))
    monkeypatch.setattr(instance_search, "AGGLOMERATION_THRESHOLDS", (0.0, 0.5, 0.95))
    monkeypatch.setattr(instance_search, "SMALLEST_INSTANCES", (0, 100))

    def run(
        phantoms: Mapping[str, CellPhantom], labels: Mapping[str, np.ndarray] | None = None
    ) -> InstanceSearch:
        cache = ProbabilityCache.open(tmp_path, "best", {"checkpoint_sha256": "x"})
        cases: list[Any] = []
        for name, phantom in phantoms.items():
            label = (labels or {}).get(name, phantom.boundary.astype(np.uint8))
            case: Any = SimpleNamespace(
                id=name, native_label=label, native_shape=SHAPE, native_spacing=(1.0, 1.0, 1.0)
            )
            cache.store(case, torch.from_numpy(phantom.probs)[None])
            cases.append(case)
        predictions = OofPredictions("best", {case.id: cache for case in cases})
        return search_instances([predictions], cases, ONE_CLASS, no_progress)

    return run


def test_the_choice_scores_what_segment_instances_scores(search: Callable[..., Any]) -> None:
    phantoms = _phantoms(a=1.0, b=2.0)

    result = search(phantoms)

    best = result.best()
    assert len(result.scores) == 2 * 3 * 2
    for candidate in [best, *list(result.scores)[::3]]:
        for row, (name, phantom) in zip(result.of(candidate), phantoms.items(), strict=True):
            cells = vesuv.segment_instances(phantom.probs, candidate.parameters)
            expected = compare_instances(cells, label_cells(phantom.boundary))
            assert row.voi == pytest.approx(expected.voi, abs=1e-9), name
            assert row.rand == pytest.approx(expected.rand), name


def test_the_choice_of_objects_scores_what_segment_instances_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_search, "FOREGROUND_THRESHOLDS", (0.3, 0.5))
    monkeypatch.setattr(instance_search, "OBJECT_SEED_THRESHOLDS", (0.5,))
    monkeypatch.setattr(instance_search, "OBJECT_SEED_SMOOTHINGS", (1.0,))
    monkeypatch.setattr(instance_search, "AGGLOMERATION_THRESHOLDS", (0.0, 0.95))
    monkeypatch.setattr(instance_search, "SMALLEST_INSTANCES", (0, 700))
    phantom = make_balls(noise=0.4)
    label = (phantom.balls > 0).astype(np.uint8)
    label[:, :4] = IGNORE
    cache = ProbabilityCache.open(tmp_path, "best", {"checkpoint_sha256": "x"})
    case: Any = SimpleNamespace(
        id="a", native_label=label, native_shape=label.shape, native_spacing=(1.0, 1.0, 1.0)
    )
    cache.store(case, torch.from_numpy(phantom.probs)[None])
    predictions, kind = OofPredictions("best", {"a": cache}), Foreground.of(TWO_CLASSES, None)

    touching = search_instances([predictions], [case], kind, no_progress)
    numbered = search_instances([predictions], [case], kind, no_progress, {"a": phantom.balls})

    assert len(numbered.scores) == 2 * 2 * 2
    known, components = label != IGNORE, label_objects(label == 1, label != IGNORE)
    for search, truth in ((touching, components), (numbered, phantom.balls)):
        for candidate in search.scores:
            objects = vesuv.segment_instances(phantom.probs, candidate.parameters)
            (row,), expected = search.of(candidate), compare_objects(objects, truth, known)
            assert row.voi == pytest.approx(expected.voi, abs=1e-9), candidate
            assert (row.rand, row.f1) == (pytest.approx(expected.rand), expected.f1), candidate
    assert touching.best().parameters.agglomeration_threshold == 0.95
    best = numbered.best().parameters
    assert (best.foreground_threshold, best.agglomeration_threshold) == (0.5, 0.0)
    assert numbered.of(numbered.best())[0].f1 == 1.0


def test_the_choice_has_the_lowest_mean_voi(search: Callable[..., Any]) -> None:
    result = search(_phantoms(a=1.0, b=2.0))

    means = {c: np.mean([sum(row.voi) for row in result.of(c)]) for c in result.scores}
    assert means[result.best()] == min(means.values())
    assert result.best().parameters.agglomeration_threshold == 0.5
    assert max(means.values()) > 1.0  # everything in one piece


def _row(voi: float) -> InstanceScores:
    return InstanceScores(Voi(voi, 0.0), AdaptedRand(0.0, 1.0, 1.0))


def test_the_honest_estimate_chooses_on_the_other_cases() -> None:
    first, second = (
        InstanceCandidate("best", InstanceParameters(smallest_instance=size)) for size in (1, 2)
    )
    cases: Any = (SimpleNamespace(id="a"), SimpleNamespace(id="b"))
    scores = {first: (_row(0.0), _row(3.0)), second: (_row(2.0), _row(0.0))}
    search = InstanceSearch(cases, scores)

    rounds = search.nested({"a": np.array([True, False]), "b": np.array([False, True])})

    assert search.best() == second
    assert [one.chosen for one in rounds] == [second, first]
    assert [one.scores for one in rounds] == [(_row(2.0),), (_row(3.0),)]
    choice = InstanceChoice((), ONE_CLASS, search, second, "case", tuple(rounds))
    assert (choice.scores["voi"], choice.honest_scores) == (1.0, mean_scores([_row(2), _row(3)]))
    assert choice.honest_scores is not None and choice.honest_scores["voi"] == 2.5


def test_a_candidate_that_finds_nothing_in_a_case_is_not_chosen() -> None:
    first, second = (
        InstanceCandidate("best", InstanceParameters(smallest_instance=size)) for size in (1, 2)
    )
    cases: Any = (SimpleNamespace(id="a"), SimpleNamespace(id="b"))
    search = InstanceSearch(cases, {first: (_row(0.0), None), second: (_row(2.0), _row(2.0))})

    assert search.best() == second
    parts = {"b": np.array([False, True])}
    with pytest.raises(InputError, match="finds no instance in a case that it was not chosen on"):
        search.nested(parts)
    messages: list[str] = []
    assert instances._nested(search, parts, messages.append) == ()
    assert messages[0].startswith("no honest estimate: best, seeds below")


def test_a_case_whose_label_holds_no_cell_is_left_out(search: Callable[..., Any]) -> None:
    labels = {"b": np.full(SHAPE, IGNORE, np.uint8)}

    result = search(_phantoms(a=1.0, b=1.0), labels)

    assert [case.id for case in result.cases] == ["a"]
    assert result.nested({"a": np.array([True])}) == []


def test_labels_without_cells_are_refused(search: Callable[..., Any]) -> None:
    labels = {"a": np.ones(SHAPE, np.uint8)}

    with pytest.raises(InputError, match="none of the 1 validation cases holds a voxel beside"):
        search(_phantoms(a=1.0), labels)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_network_that_predicts_one_value_is_refused(
    value: float, search: Callable[..., Any]
) -> None:
    phantom = make_cells(SHAPE, 5)
    constant = CellPhantom(phantom.cells, phantom.boundary, np.full_like(phantom.probs, value))

    with pytest.raises(InputError, match="cases a, b: no parameters give instances"):
        search({"a": phantom, "b": constant}).best()


def test_the_boundary_is_the_only_class_or_named() -> None:
    several = Targets.of_classes(("background", "wall", "nucleus"))

    assert Boundary.of(TWO_CLASSES, None) == ("foreground", 0, 1, (1,))
    assert Boundary.of(several, "nucleus") == ("nucleus", 2, 3, (2,))
    with pytest.raises(InputError, match=r"--boundary: name the class .* one of wall, nucleus"):
        Boundary.of(several, None)
    with pytest.raises(InputError, match="must be one of wall, nucleus; found 'wal'"):
        Boundary.of(several, "wal")


def test_labels_without_objects_are_refused(tmp_path: Path) -> None:
    case: Any = SimpleNamespace(id="a", native_label=np.zeros(SHAPE, np.uint8))
    kind = Foreground.of(TWO_CLASSES, None)

    with pytest.raises(InputError, match="holds a voxel of foreground; name the class with --fore"):
        search_instances([], [case], kind, no_progress)
    with pytest.raises(InputError, match="--foreground: must be one of foreground; found 'nuc'"):
        Foreground.of(TWO_CLASSES, "nuc")


def test_true_numbers_come_from_a_folder_by_case(tmp_path: Path) -> None:
    cases: Any = [SimpleNamespace(id=name, native_shape=(1, 2, 2)) for name in "ab"]
    write(tmp_path / "a.npy", np.array([[[0, 70], [70, 9]]], np.uint16))

    assert numbers_of_cases(tmp_path, cases[:1])["a"].tolist() == [[[0, 2], [2, 1]]]
    with pytest.raises(InputError, match="holds no volume of case b; add it"):
        numbers_of_cases(tmp_path, cases)
    write(tmp_path / "b.npy", np.zeros((1, 2, 3), np.uint16))
    with pytest.raises(InputError, match=r"b\.npy: has the shape of its case, \(1, 2, 2\), found"):
        numbers_of_cases(tmp_path, cases)


@pytest.fixture
def run(trained_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the trained run that a test may change; the prepared data stay shared."""
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def few_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_search, "SEED_THRESHOLDS", (0.3, 0.5))
    monkeypatch.setattr(instance_search, "SEED_SMOOTHINGS", (1.0,))


@pytest.mark.usefixtures("few_parameters")
def test_the_file_beside_the_run_says_what_was_chosen_and_how_good_it_is(run: RunFolder) -> None:
    choice = vesuv.select_instances([run.path], checkpoints=["best"])

    content = json.loads(run.instances_file.read_text())
    assert content["parameters"] == choice.chosen.parameters.model_dump()
    assert content["checkpoint"] == "best"
    assert content["checkpoint_sha256"] == file_digest(run.checkpoint("best"))
    assert (content["boundary"], content["channel"], content["num_channels"]) == ("sheet", 0, 1)
    vois = [one["voi"] for one in content["cases"]]
    assert content["voi"] == pytest.approx(sum(vois) / len(vois))
    assert [one["id"] for one in content["cases"]] == sorted(run.facts.validation_cases)
    honest = content["honest"]
    assert honest["left_out"] == "group" and honest["voi"] >= content["voi"]
    assert [one["left_out"] for one in honest["rounds"]] == ["0", "1"]
    for one, chosen in zip(honest["rounds"], choice.nested, strict=True):
        assert one["parameters"] == chosen.chosen.parameters.model_dump()


@pytest.mark.usefixtures("few_parameters")
def test_a_foreign_file_of_that_name_is_not_replaced(run: RunFolder) -> None:
    run.instances_file.write_text("{}")

    with pytest.raises(InputError, match=r"instances.json: was not written by vesuv instances"):
        vesuv.select_instances([run.path])


def test_a_run_without_held_out_cases_is_refused(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**facts, "validation_cases": []}))

    with pytest.raises(InputError, match="none is left to validate on"):
        vesuv.select_instances([run.path])


def test_no_run_is_refused() -> None:
    with pytest.raises(InputError, match="--run: needs at least one run folder"):
        vesuv.select_instances([])


def test_a_missing_extra_is_named_before_anything_is_predicted(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)

    with pytest.raises(InputError, match="install the extra"):
        vesuv.select_instances([run.path])
    assert not run.distribution.exists()
