from __future__ import annotations

import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation.label_values import common_labels, parse_classes


def labels(ignore: int | None = None, **classes: int | tuple[int, ...]) -> LabelsConfig:
    return LabelsConfig(classes=classes, ignore=ignore)


def test_pairs_name_the_values_of_each_class() -> None:
    words = ("background=0", "sheet=1,3", "edge=mid=-4")

    assert parse_classes(words, 2) == LabelsConfig(
        classes={"background": 0, "sheet": (1, 3), "edge=mid": -4}, ignore=2
    )


@pytest.mark.parametrize(
    ("words", "ignore", "message"),
    [
        (("background",), None, r"--classes: needs name=value, as in sheet=1; found 'background'"),
        (("background=0", "sheet=one"), None, r"found 'sheet=one'"),
        (("background=0", "=1"), None, r"found '=1'"),
        (("background=0", "a=1", "a=2"), None, r"--classes: must name each class once, found 'a'"),
        (("sheet=1", "background=0"), None, r"first class is the background, found 'sheet=1'"),
        (("background=0",), None, r"--classes: classes needs a background and a foreground"),
        (("background=0", "a=1"), 1, r"--classes: label value 1 is declared twice"),
    ],
)
def test_what_names_no_classes_is_refused(
    words: tuple[str, ...], ignore: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_classes(words, ignore)


def test_sources_that_mean_the_same_agree() -> None:
    first = labels(2, background=0, bone=1, vessel=(3, 4))

    assert common_labels({"a": first, "b": labels(2, background=0, vessel=(4, 3), bone=1)}) == first
    two = labels(background=0, sheet=1)
    assert common_labels({"a": two, "b": labels(air=0, fibre=1)}) == two


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (labels(background=0, bone=1, vessel=2), "no ignore"),
        (labels(3, background=0, bone=1), "bone=1 ignore=3"),
        (labels(3, background=0, bone=2, vessel=1), "bone=2 vessel=1 ignore=3"),
        (labels(3, bone=1, background=0, vessel=2), "bone=1 background=0 vessel=2"),
        (labels(3, background=0, bone=1, vessel=(2, 5)), "vessel=2,5"),
    ],
)
def test_sources_that_differ_are_refused(other: LabelsConfig, found: str) -> None:
    first = labels(3, background=0, bone=1, vessel=2)

    with pytest.raises(InputError, match=rf"b: must have the label values of a, found .*{found}"):
        common_labels({"a": first, "b": other})
