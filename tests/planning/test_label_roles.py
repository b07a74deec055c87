from __future__ import annotations

import pytest

from tests.planning.surveys import survey, values
from vesuv.errors import InputError
from vesuv.planning.label_roles import label_roles
from vesuv.planning.survey import ValueSurvey


def test_two_values_are_background_and_foreground() -> None:
    roles = label_roles(survey(values=values(v0=0.35, v1=0.65)), "folders")

    assert roles.labels == {"classes": {"background": 0, "foreground": 1}}
    assert "value 0: 35.0%, value 1: 65.0%" in roles.reason


def test_value_2_of_the_kaggle_layout_is_ignored_even_where_it_is_rare() -> None:
    roles = label_roles(survey(values=values(v0=0.869, v1=0.13, v2=0.001)), "kaggle")

    assert roles.labels == {"classes": {"background": 0, "surface": 1}, "ignore": 2}
    assert "value 2 (0.1%) marks unlabelled voxels in this layout" in roles.ignore_reason


def test_the_highest_value_that_fills_volumes_and_their_faces_is_ignored() -> None:
    shares = values(v0=0.44, v1=0.05) | {
        2: ValueSurvey(share=0.51, border_share=0.6, case_share=1.0)
    }

    roles = label_roles(survey(values=shares), "folders")

    assert roles.labels["ignore"] == 2
    assert "covers 51% of the voxels and 60% of the volumes' faces" in roles.ignore_reason
    assert "if it is a class, move it to labels.classes" in roles.ignore_reason


@pytest.mark.parametrize(
    "highest",
    [
        ValueSurvey(share=0.24, border_share=0.6, case_share=1.0),
        ValueSurvey(share=0.51, border_share=0.4, case_share=1.0),
        ValueSurvey(share=0.51, border_share=0.6, case_share=0.9),
    ],
)
def test_in_doubt_a_value_is_a_class_and_the_reason_says_how_to_ignore_it(
    highest: ValueSurvey,
) -> None:
    roles = label_roles(survey(values=values(v0=0.5, v1=0.1) | {2: highest}), "folders")

    assert roles.labels == {"classes": {"background": 0, "class_1": 1, "class_2": 2}}
    assert "if one means it, move it to labels.ignore" in roles.ignore_reason


def test_255_beside_two_other_values_is_ignored() -> None:
    roles = label_roles(survey(values=values(v0=0.8, v1=0.19, v255=0.01)), "folders")

    assert roles.labels["ignore"] == 255


@pytest.mark.parametrize("white", [255, 65535])
def test_masks_of_0_and_1_beside_masks_of_0_and_255_have_one_foreground(white: int) -> None:
    shares = {"share": 0.1, "border_share": 0.1, "case_share": 0.5}
    apart = {value: ValueSurvey(**shares, beside=(0, value)) for value in (1, white)}
    together = {value: ValueSurvey(**shares, beside=(0, 1, white)) for value in (1, white)}

    roles = label_roles(survey(values=values(v0=0.8) | apart), "folders")

    assert roles.labels == {"classes": {"background": 0, "foreground": [1, white]}}
    assert f"if {white} means unlabelled, move it to labels.ignore" in roles.ignore_reason
    roles = label_roles(survey(values=values(v0=0.8) | together), "folders")
    assert roles.labels["ignore"] == white


@pytest.mark.parametrize("foreground", [1, 255])
def test_one_value_below_0_beside_two_others_is_ignored(foreground: int) -> None:
    shares = values(v0=0.8) | {
        value: ValueSurvey(share=0.1, border_share=0, case_share=1) for value in (-5, foreground)
    }
    roles = label_roles(survey(values=shares), "folders")

    assert roles.labels == {"classes": {"background": 0, "foreground": foreground}, "ignore": -5}
    assert roles.ignore_reason.startswith("value -5 usually marks unlabelled voxels; ")


def test_255_as_the_only_foreground_is_a_class() -> None:
    roles = label_roles(survey(values=values(v0=0.8, v255=0.2)), "folders")

    assert roles.labels == {"classes": {"background": 0, "foreground": 255}}


def test_without_a_zero_the_lowest_value_is_the_background() -> None:
    roles = label_roles(survey(values=values(v1=0.8, v2=0.2)), "folders")

    assert roles.labels == {"classes": {"background": 1, "foreground": 2}}


def test_labels_that_the_data_set_declares_are_taken_as_they_are() -> None:
    declared = {"classes": {"air": 0, "bone": 1, "marrow": 2}, "ignore": 3}

    roles = label_roles(survey(), "nnunet", declared)

    assert roles.labels == declared


def test_a_single_value_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"needs a background and a foreground, found value 0: 100"
    ):
        label_roles(survey(values=values(v0=1.0)), "folders")


def pieces(*nums: float | None) -> dict[int, ValueSurvey]:
    """Values 0, 1, ... of so many connected pieces."""
    shares = {"share": 1 / len(nums), "border_share": 0.1, "case_share": 1.0}
    return {k: ValueSurvey(**shares, num_pieces=num) for k, num in enumerate(nums)}


def test_values_of_one_piece_each_are_said_to_look_like_instances() -> None:
    roles = label_roles(survey(values=pieces(3, 1, 1, None, 1, 1)), "folders")

    assert len(roles.labels["classes"]) == 6
    assert roles.reason.endswith(
        "; 4 of the values are one connected piece each: if they number instances of one kind, "
        "write one value for the kind"
    )


@pytest.mark.parametrize("nums", [(1, 1, 1, 1), (1, 1, 1, 1, 1, 2), (1, *[None] * 5)])
def test_few_values_or_values_of_many_pieces_are_classes(nums: tuple[float | None, ...]) -> None:
    assert "connected" not in label_roles(survey(values=pieces(*nums)), "folders").reason
