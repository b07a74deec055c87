"""Findings from made-up metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.curves.findings import find_faults
from vesuv.curves.page import write_page
from vesuv.errors import InputError

GOOD = {
    "val/f1@1": 0.8,
    "val/f1@2": 0.85,
    "val/recall@2": 0.8,
    "val/precision@2": 0.9,
    "val/false_per_strip": 0.1,
    "val/best_f1@2": 0.86,
    "val/best_threshold": 0.45,
    "train/best_f1@2": 0.9,
    "train/strips_with_picks": 0.7,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("task: curves\nname: a\nlogs: {root: logs}\n")
    return tmp_path


def names(run: Path, **changes: float) -> dict[str, str]:
    """Return finding -> remedy of a run with these scores in its second epoch."""
    row = {**GOOD, **{key.replace("__", "/").replace("_at_", "@"): v for key, v in changes.items()}}
    lines = [",".join(["epoch", *row]), ",".join(["1", *map(str, row.values())])]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    return {finding.name: finding.remedy for finding in find_faults(run)}


def test_a_good_run_has_no_findings(run: Path) -> None:
    assert names(run) == {}


@pytest.mark.parametrize(
    ("changes", "name", "remedy"),
    [
        ({"val__recall_at_2": 0.0, "val__f1_at_2": 0.0}, "no_picks", "picking.threshold=0.45"),
        ({"val__best_f1_at_2": 0.95}, "threshold_off", "picking.threshold=0.45"),
        ({"train__best_f1_at_2": 1.02}, "over_fitting", "More wells help most"),
        ({"val__f1_at_1": 0.5}, "depth_not_sharp", "loss.scales.0=2.5"),
        (
            {"val__false_per_strip": 2.0, "val__precision_at_2": 0.3},
            "false_picks",
            "loss.none_weight=0.6",
        ),
        ({"train__strips_with_picks": 0.1}, "rare_curves", "strips.with_picks=0.7"),
    ],
)
def test_a_fault_is_found_alone_and_names_its_key(
    run: Path, changes: dict[str, float], name: str, remedy: str
) -> None:
    findings = names(run, **changes)

    assert list(findings) == [name]
    assert remedy in findings[name]


def test_a_detector_that_finds_nothing_at_any_threshold_needs_training(run: Path) -> None:
    findings = names(run, val__recall_at_2=0.0, val__f1_at_2=0.0, val__best_f1_at_2=0.0)

    assert "Train longer" in findings["no_picks"]


def test_the_remedy_of_over_fitting_depends_on_the_run(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config + "detector: {blocks: [3, 4, 6, 3]}\n")
    assert "blocks=[1, 1, 1, 1]" in names(run, train__best_f1_at_2=1.1)["over_fitting"]
    (run / "config.yaml").write_text(config + "augment: null\n")
    assert "augmentation on" in names(run, train__best_f1_at_2=1.1)["over_fitting"]


def test_a_folder_without_a_run_is_refused_and_a_run_without_epochs_has_none(run: Path) -> None:
    assert find_faults(run) == ()
    assert "No epoch is finished yet" in write_page(run).read_text()
    (run / "config.yaml").unlink()
    with pytest.raises(InputError, match="not a run folder"):
        find_faults(run)
