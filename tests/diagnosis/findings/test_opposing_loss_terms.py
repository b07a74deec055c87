from typing import Any

import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.opposing_loss_terms import find
from vesuv.runs.observation import GradientComparison


def look(weak: float = 0.5, **cosines: float) -> dict[str, Any]:
    return {
        "gradients": GradientComparison(
            cosines={group: {"dice|variance": cosine} for group, cosine in cosines.items()},
            norms={group: {"dice": 1.0, "variance": weak} for group in cosines},
        )
    }


def test_terms_that_oppose_in_two_groups_are_named(make: MakeEvidence) -> None:
    lines = [look(encoder=-0.6, decoder=-0.5, output=0.2), {}, look(encoder=-0.8, decoder=-0.4)]

    finding = find(make(observations=lines))

    assert finding is not None and finding.epochs == (0, 2)
    assert finding.title == "The loss terms dice and variance pull against each other"
    assert "At epoch 2 the cosine" in finding.evidence
    assert "encoder -0.80, decoder -0.40 (first seen at epoch 0); in encoder" in finding.evidence
    assert "their norms are 1 and 0.5" in finding.evidence
    assert finding.remedy.startswith("Take variance out of phases")
    assert finding.numbers["cosine"] == pytest.approx(-0.8)


def test_the_last_layer_alone_is_no_finding(make: MakeEvidence) -> None:
    lines = [look(encoder=0.9, decoder=0.8, output=-0.9)] * 3

    assert find(make(observations=lines)) is None


def test_a_quarrel_that_is_over_or_a_weak_term_is_no_finding(make: MakeEvidence) -> None:
    opposed, agreed = look(encoder=-0.6, decoder=-0.5), look(encoder=0.6, decoder=0.5)

    assert find(make(observations=[opposed, agreed])) is None
    assert find(make(observations=[look(0.05, encoder=-0.6, decoder=-0.5)] * 2)) is None


def test_nothing_is_said_without_gradients(make: MakeEvidence) -> None:
    assert find(make(observations=[{}] * 4)) is None


def test_terms_that_cancel_next_to_the_loss_of_a_converged_run_are_fine(
    make: MakeEvidence,
) -> None:
    lines = [look(encoder=-0.01, bottleneck=0.25, decoder=-0.65, output=-0.9)] * 3

    assert find(make(observations=lines)) is None


def test_a_network_without_an_encoder_is_judged_by_its_groups(make: MakeEvidence) -> None:
    assert find(make(observations=[look(down_layers=-0.6, up_layers=-0.5)] * 2)) is not None


def test_the_first_comparison_alone_says_nothing(make: MakeEvidence) -> None:
    opposed = look(encoder=-0.6, decoder=-0.5)

    assert find(make(observations=[opposed, {}, {}])) is None
    assert find(make(observations=[opposed, opposed])) is not None
