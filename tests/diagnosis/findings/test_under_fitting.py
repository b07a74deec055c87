from tests.diagnosis.conftest import FitLines, MakeEvidence, WithDice
from vesuv.diagnosis.findings.under_fitting import find


def test_a_run_that_stopped_low_is_named(make: MakeEvidence, fits: FitLines) -> None:
    finding = find(make(observations=fits(0.2, 0.3, 0.40, 0.401, 0.402)))

    assert finding is not None and finding.severity == "trouble"
    assert "0.402 on tiles of training cases and 0.382 on validation tiles" in finding.evidence
    assert "by +0.0010 an epoch since epoch 2" in finding.evidence
    assert "optimizer.lr=0.003" in finding.remedy and "model.filters=16" in finding.remedy


def test_a_run_that_climbs_needs_time(make: MakeEvidence, fits: FitLines) -> None:
    climbing = fits(0.1, 0.2, 0.3, 0.35, 0.4)

    finding = find(make(observations=climbing, train={"epochs": 6}))

    assert finding is not None and finding.severity == "warning"
    assert "train.epochs=12" in finding.remedy


def test_a_run_that_climbs_is_left_alone_until_it_is_late(
    make: MakeEvidence, fits: FitLines
) -> None:
    climbing = fits(0.1, 0.2, 0.3, 0.35, 0.4)

    assert find(make(observations=climbing, train={"epochs": 7})) is None
    assert find(make(observations=climbing, train={"epochs": 6})) is not None


def test_a_short_run_that_climbed_to_its_end_is_told_of_muon_first(
    make: MakeEvidence, fits: FitLines
) -> None:
    finding = find(make(observations=fits(0.1, 0.2, 0.3, 0.35, 0.4), train={"epochs": 5}))

    assert finding is not None
    assert "--set 'optimizer={name: muon}', whose steps are larger, or train.epochs=10" in (
        finding.remedy
    )


def test_a_rate_that_is_too_high_is_another_matter(make: MakeEvidence, fits: FitLines) -> None:
    violent = {"name": "sgd", "lr": 30.0}

    assert find(make(observations=fits(*[0.2] * 5), optimizer=violent)) is None


def test_no_rate_above_the_usual_ones_is_proposed(make: MakeEvidence, fits: FitLines) -> None:
    for rate, proposed in ((0.1, "optimizer.lr=0.2,"), (0.2, "try a larger network")):
        finding = find(make(observations=fits(*[0.2] * 5), optimizer={"name": "sgd", "lr": rate}))

        assert finding is not None and proposed in finding.remedy


def test_a_phase_that_ends_with_the_run_is_extended_too(make: MakeEvidence, fits: FitLines) -> None:
    phases = [{"epochs": [0, 5], "weights": {"dice": 1.0}}]
    climbing = fits(0.1, 0.2, 0.3, 0.35, 0.4)

    finding = find(make(observations=climbing, train={"epochs": 6}, phases=phases))

    assert finding is not None and "train.epochs=12 phases.0.epochs.1=null" in finding.remedy


def test_a_network_that_fits_is_no_finding(make: MakeEvidence, fits: FitLines) -> None:
    assert find(make(observations=fits(0.2, 0.4, 0.6, 0.65, 0.66))) is None


def test_another_network_is_proposed_by_its_own_key(make: MakeEvidence, fits: FitLines) -> None:
    model = {"name": "mednext"}

    finding = find(make(observations=fits(*[0.3] * 5), model=model))

    assert finding is not None and "model.variant=B" in finding.remedy


def test_nothing_is_said_without_training_tiles(make: MakeEvidence, with_dice: WithDice) -> None:
    assert find(make(observations=[{"histogram": with_dice(0.2)}] * 8)) is None


def test_weight_decay_that_takes_the_weights_away_is_named_first(
    make: MakeEvidence, fits: FitLines
) -> None:
    decayed = {"name": "adamw", "lr": 2e-3, "weight_decay": 150.0}

    finding = find(make(observations=fits(*[0.4] * 5), optimizer=decayed))

    assert finding is not None
    assert "takes away 30 % of every weight in a step" in finding.remedy
    assert "--set optimizer.weight_decay=0.0001" in finding.remedy
