"""A remedy that names a key must name one that is there, and move it away from the fault."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import vesuv.diagnosis
from tests.diagnosis.conftest import TREE, MakeEvidence, merged
from tests.diagnosis.faulty_runs import RUNS, FaultyRun
from vesuv.config import Config, load_config
from vesuv.config.keys import all_keys
from vesuv.diagnosis import FINDINGS, Finding, diagnose
from vesuv.diagnosis.findings import extra_label_as_foreground as extra_label
from vesuv.diagnosis.remedies import (
    alternatives,
    direction,
    proposed_settings,
    without_contradictions,
)
from vesuv.errors import InputError
from vesuv.runs.observation import LabelShares

FILES = sorted(Path(vesuv.diagnosis.__file__).parent.rglob("*.py"))
SECTIONS = "|".join(Config.model_fields)
KEY = re.compile(rf"(?<![\w./])((?:{SECTIONS})(?:\.(?:\w+|\{{\w+\}}))+)=")


def named(path: Path) -> set[str]:
    joined = re.sub(r'"\s*\n\s*f?"', "", path.read_text())
    return set(KEY.findall(joined))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_in_a_remedy_is_a_key_of_the_configuration(path: Path) -> None:
    known = set(all_keys(Config))

    assert {key for key in named(path) if key.replace("{name}", "blur") not in known} == set()


def test_keys_are_found_at_all() -> None:
    found: set[str] = set().union(*map(named, FILES))

    assert {"optimizer.lr", "augment.{name}.p", "labels.ignore", "plateau.cap"} <= found


def test_a_remedy_can_be_pasted_into_the_command_line(make: MakeEvidence, tmp_path: Path) -> None:
    labels: dict[str, Any] = {"classes": {"background": 0, "surface": [1, 2]}, "ignore": None}
    values = {"0": 0.39, "1": 0.05, "2": 0.56}
    census = LabelShares(values=values, foreground=0.61, ignore=0.0, patches_with_foreground=1.0)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**TREE, "labels": labels}))
    finding = extra_label.find(make(census=census, labels=labels))
    assert finding is not None

    words = shlex.split(finding.remedy)
    begin = words.index("--set") + 1
    repaired = load_config(tmp_path / "run.yaml", words[begin : begin + 2])

    assert repaired.labels.ignore == 2
    assert repaired.labels.values() == [("background", (0,)), ("surface", (1,))]


def test_every_finding_has_a_run_that_shows_its_remedy() -> None:
    assert {run.finding for run in RUNS} == set(FINDINGS)


@pytest.mark.parametrize("run", RUNS, ids=[f"{run.finding}-{n}" for n, run in enumerate(RUNS)])
def test_a_remedy_loads_and_leads_away_from_the_fault(
    make: MakeEvidence, tmp_path: Path, run: FaultyRun
) -> None:
    evidence = make(**run.made)
    finding = FINDINGS[run.finding](evidence)
    assert finding is not None

    settings = proposed_settings(finding.remedy)

    assert set(settings) == set(run.settings), finding.remedy
    for key, repair in run.settings.items():
        if isinstance(repair, int):
            assert direction(evidence.config, key, settings[key]) == repair, finding.remedy
        elif repair:
            assert settings[key] == repair
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(evidence.config.model_dump(mode="json")))
    load_config(path, [f"{key}={value}" for key, value in settings.items()])


def sections(run: FaultyRun) -> dict[str, Any]:
    evidence = ("columns", "observations", "events", "census")
    return {name: value for name, value in run.made.items() if name not in evidence}


def both(first: FaultyRun, second: FaultyRun) -> dict[str, Any]:
    """The evidence of both, in one run."""
    lines = [list(run.made.get("observations", ())) for run in (first, second)]
    joint: dict[str, Any] = {
        "columns": first.made.get("columns", {}) | second.made.get("columns", {}),
        "observations": [
            {**old, **new} for old, new in itertools.zip_longest(*lines, fillvalue={})
        ],
        "events": [*first.made.get("events", ()), *second.made.get("events", ())],
        "census": second.made.get("census", first.made.get("census")),
    }
    return joint | merged(sections(first), sections(second))


@pytest.mark.slow
def test_no_two_findings_of_a_run_tell_opposite_remedies(make: MakeEvidence) -> None:
    pairs = 0
    for first, second in itertools.combinations(RUNS, 2):
        try:
            evidence = make(**both(first, second))
        except InputError:  # no configuration has both faults
            continue
        pairs += 1
        directions: dict[str, set[int | str]] = {}
        for finding in diagnose(evidence):
            for key, value in proposed_settings(finding.remedy).items():
                moves = direction(evidence.config, key, value)
                directions.setdefault(key, set()).add(value if moves is None else moves)
        contradictions = {key: moves for key, moves in directions.items() if len(moves - {0}) > 1}
        assert not contradictions, (first, second)
    assert pairs > len(RUNS)


def finding(name: str, remedy: str) -> Finding:
    return Finding(
        name=name, title="", evidence="", remedy=remedy, severity="warning", epochs=(0, 1)
    )


def remedies(make: MakeEvidence, *texts: str) -> list[str]:
    named = [finding(f"number_{n}", text) for n, text in enumerate(texts)]
    return [one.remedy for one in without_contradictions(named, make().config)]


def test_the_first_remedy_for_a_key_stands(make: MakeEvidence) -> None:
    lower, higher = "--set optimizer.lr=1e-4.", "--set train.epochs=40, or optimizer.lr=3e-3."

    assert remedies(make, lower, higher) == [
        lower,
        "Follow the remedy of number_0 first, which moves optimizer.lr the other way; then train "
        "and diagnose again.",
    ]
    assert remedies(make, higher, lower)[0] == higher


def test_remedies_that_agree_stay(make: MakeEvidence) -> None:
    texts = ["--set optimizer.lr=1e-4.", "--set optimizer.lr=3e-4.", "--set train.epochs=30."]

    assert remedies(make, *texts) == texts


def test_a_word_in_place_of_another_is_a_contradiction(make: MakeEvidence) -> None:
    texts = ["--set scheduler.name=poly.", "--set scheduler.name=cosine."]

    assert remedies(make, *texts)[1].startswith("Follow the remedy of number_0 first")


def test_a_replaced_remedy_claims_no_other_key(make: MakeEvidence) -> None:
    texts = [
        "--set optimizer.lr=1e-4.",
        "--set optimizer.lr=1e-2 train.epochs=40.",
        "--set train.epochs=10.",
    ]

    assert remedies(make, *texts)[2] == texts[2]


def test_settings_are_read_from_a_sentence() -> None:
    text = (
        "For the next run --set 'sampling.patch_size=[80, 28, 24]' plateau=null; draw fewer "
        "(sampling.foreground_share=0.35), or optimizer.lr=3e-05. best.pt keeps train.epochs."
    )

    assert proposed_settings(text) == {
        "sampling.patch_size": "[80, 28, 24]",
        "plateau": "null",
        "sampling.foreground_share": "0.35",
        "optimizer.lr": "3e-05",
    }


@pytest.mark.parametrize(
    ("remedy", "changes"),
    [
        ("--set plateau.cap=2, or plateau=null.", [{"plateau.cap": "2"}, {"plateau": "null"}]),
        ("--set optimizer.lr=1 noise=null.", [{"optimizer.lr": "1", "noise": "null"}]),
        (
            "--set 'phases=[{epochs: [0, null]}]', and optimizer.lr=3e-08.",
            [{"phases": "[{epochs: [0, null]}]", "optimizer.lr": "3e-08"}],
        ),
        (
            "try --set optimizer.lr=1, then a larger network (model.filters=32).",
            [{"optimizer.lr": "1"}, {"model.filters": "32"}],
        ),
        ("Label more foreground.", []),
    ],
)
def test_settings_next_to_each_other_are_one_change(
    remedy: str, changes: list[dict[str, str]]
) -> None:
    assert alternatives(remedy) == changes
