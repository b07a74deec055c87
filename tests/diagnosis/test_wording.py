from vesuv.diagnosis.wording import epochs, percent


def test_one_epoch_is_not_a_range() -> None:
    assert epochs(3, 3) == "epoch 3"
    assert epochs(3, 7) == "epochs 3 to 7"


def test_percentages_have_two_digits_at_least_where_they_are_small() -> None:
    assert percent(0.556) == "56 %"
    assert percent(0.0528) == "5.3 %"
    assert percent(0.0996) == "10 %"
    assert percent(0.0) == "0 %"
