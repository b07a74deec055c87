from vesuv.diagnosis.render import epochs, finding_lines, percent
from vesuv.runs.records import Finding


def test_one_epoch_is_not_a_range() -> None:
    assert epochs(3, 3) == "epoch 3"
    assert epochs(3, 7) == "epochs 3 to 7"


def test_percentages_have_two_digits_at_least_where_they_are_small() -> None:
    assert percent(0.556) == "56 %"
    assert percent(0.0528) == "5.3 %"
    assert percent(0.0996) == "10 %"
    assert percent(0.0) == "0 %"


def test_a_finding_is_said_in_two_lines() -> None:
    finding = Finding(
        name="lopsided_precision_recall",
        title="Far too much is predicted",
        evidence="In epochs 3 to 5 precision is 0.608.",
        remedy="Let validate_distribution choose.",
        severity="trouble",
        epochs=(3, 5),
    )

    assert finding_lines([finding]) == [
        "Trouble: Far too much is predicted (lopsided_precision_recall). "
        "In epochs 3 to 5 precision is 0.608.",
        "  -> Let validate_distribution choose.",
    ]
