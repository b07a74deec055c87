from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.learning_rate_too_high import find


def columns(*losses: float) -> dict[str, Any]:
    num = len(losses)
    return {
        "val/dice": [1 - loss for loss in losses],
        "val/loss_dice": losses,
        "weight/dice": [1.0] * num,
        "lr": [3e-3] * num,
    }


def test_two_jumps_are_a_finding(make: MakeEvidence) -> None:
    rate = {"name": "adamw", "lr": 3e-3}

    finding = find(make(columns(0.4, 0.6, 0.4, 0.4, 0.56), optimizer=rate))

    assert finding is not None and finding.severity == "trouble"
    assert "At epoch 1 the validation loss is 1.50 times that of epoch 0" in finding.evidence
    assert "dice went from 0.600 to 0.400; the rate was 0.003" in finding.evidence
    assert "jump: 1, 4." in finding.evidence
    assert "optimizer.lr=0.001" in finding.remedy
    assert finding.numbers["jumps"] == 2 and finding.numbers["largest_rise"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("kind", "named", "remedy"),
    [
        ("phase", "the change of phase", "warmup_epochs"),
        ("noise", "the weight noise", "noise=null"),
        ("escape", "the escape", "plateau.cap=2.5"),
    ],
)
def test_one_jump_after_an_event_is_a_finding(
    make: MakeEvidence, kind: str, named: str, remedy: str
) -> None:
    evidence = make(columns(0.4, 0.4, 0.6, 0.4), events=[(2, kind, "it happened")], plateau={})

    finding = find(evidence)

    assert finding is not None and finding.severity == "warning"
    assert f"just after {named}" in finding.evidence and remedy in finding.remedy


def test_one_jump_that_nothing_explains_is_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns(0.4, 0.4, 0.6), events=[(0, "phase", "Phase 1 begins")])) is None


def test_small_steps_are_no_finding(make: MakeEvidence) -> None:
    assert find(make(columns(0.4, 0.49, 0.4, 0.49))) is None
    assert find(make(columns(0.4, 0.45), events=[(1, "phase", "")])) is None
    assert find(make(columns(0.4, 0.47), events=[(1, "phase", "")])) is not None


def test_a_change_of_weights_is_no_jump(make: MakeEvidence) -> None:
    found = columns(0.4, 0.4) | {"weight/dice": [0.5, 1.0]}

    assert find(make(found, events=[(1, "phase", "Phase 2 begins")])) is None


def test_nothing_is_said_without_losses(make: MakeEvidence) -> None:
    assert find(make({"val/dice": [0.6, 0.1, 0.6, 0.1]})) is None


SWINGING = {
    "val/dice": [0.1, 0.3, 0.5, 0.45, 0.46, 0.40, 0.52, 0.50],
    "val/ema_dice": [0.1, 0.3, 0.4, 0.45, 0.50, 0.52, 0.53, 0.55],
    "lr": [0.1] * 8,
}


def test_swings_of_dice_at_a_constant_rate_are_named(make: MakeEvidence) -> None:
    finding = find(make(SWINGING, optimizer={"name": "sgd", "lr": 0.1}))

    assert finding is not None and finding.severity == "warning"
    assert "fell by 0.03 or more 2 times, by 0.060 at most" in finding.evidence
    assert "score +0.050 against the last ones" in finding.evidence  # of +.12, +.01, +.05
    assert "'scheduler={name: poly, warmup_epochs: 1}'" in finding.remedy
    assert "optimizer.lr=0.033" in finding.remedy


@pytest.mark.parametrize(
    "change",
    [
        {"lr": [0.1] * 7 + [0.05]},
        {"val/ema_dice": [value - 0.05 for value in SWINGING["val/ema_dice"]]},
        {"val/dice": [0.1, 0.3, 0.5, 0.45, 0.46, 0.45, 0.46, 0.50]},
    ],
    ids=["the rate falls", "averages are no better", "one fall"],
)
def test_dice_may_move_under_a_fitting_rate(make: MakeEvidence, change: dict[str, Any]) -> None:
    assert find(make(SWINGING | change, optimizer={"name": "sgd", "lr": 0.1})) is None


def test_without_averages_only_an_unusual_rate_is_suspected(make: MakeEvidence) -> None:
    alone = {name: values for name, values in SWINGING.items() if name != "val/ema_dice"}

    assert find(make(alone, optimizer={"name": "sgd", "lr": 0.1})) is None
    assert find(make(alone, optimizer={"name": "sgd", "lr": 0.3})) is not None
