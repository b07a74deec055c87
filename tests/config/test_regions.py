from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.config.labels import LabelsConfig, Targets
from vesuv.errors import InputError

TUMOUR = {
    "classes": {"background": 0, "edema": 1, "core": 2, "enhancing": 3},
    "regions": {
        "whole": ["edema", "core", "enhancing"],
        "core": ["core", "enhancing"],
        "enhancing": ["enhancing"],
    },
}


def labels(**changes: Any) -> LabelsConfig:
    return LabelsConfig.model_validate({**TUMOUR, **changes})


def test_without_regions_each_foreground_class_is_a_target() -> None:
    targets = labels(regions=None).targets

    assert targets == Targets.of_classes(("background", "edema", "core", "enhancing"))
    assert targets.members == ((1,), (2,), (3,)) == tuple((k,) for k in targets.written)
    assert (targets.num_logits, targets.overlap, targets.has_several) == (4, False, True)


def test_two_classes_have_one_logit() -> None:
    targets = labels(classes={"air": 0, "sheet": 7}, regions=None).targets

    assert (targets.names, targets.num_logits, targets.has_several) == (("sheet",), 1, False)


def test_nested_regions_are_written_by_the_class_that_no_later_one_contains() -> None:
    targets = labels().targets

    assert targets.names == ("whole", "core", "enhancing")
    assert targets.members == ((1, 2, 3), (2, 3), (3,))
    assert targets.written == (1, 2, 3)
    assert (targets.num_logits, targets.overlap) == (3, True)


def test_the_order_may_be_written() -> None:
    assert labels(regions_class_order=["edema", "core", "enhancing"]).targets == labels().targets


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regions": {}}, "names at least one region"),
        ({"regions": {"whole": []}}, "at least 1 item"),
        (
            {"regions": {"whole": ["edema", "cor"]}},
            r"regions\.whole: names each of its classes once, out of \['edema', 'core', 'enh",
        ),
        ({"regions": {"whole": ["background", "edema"]}}, "names each of its classes once"),
        ({"regions": {"whole": ["edema", "edema"]}}, "names each of its classes once"),
        (
            {"regions": {"a": ["edema", "core", "enhancing"], "b": ["core", "edema", "enhancing"]}},
            r"regions\.b: has the classes of region a; leave one out",
        ),
        (
            {"regions": {"core": ["core", "enhancing"], "enhancing": ["enhancing"]}},
            "class edema is in none, so it would be trained as background",
        ),
        (
            {"regions": {"a": ["edema", "core", "enhancing"], "b": ["enhancing"]}},
            "region a has 2 classes that no later region contains",
        ),
        ({"regions_class_order": ["edema"]}, "one class for each of the 3 regions, found"),
        (
            {"regions_class_order": ["edema", "edema", "enhancing"]},
            r"the class of region core is one of \['core', 'enhancing'\], found 'edema'",
        ),
        (
            {"regions_class_order": ["enhancing", "core", "enhancing"]},
            "a voxel of class edema would be written as class enhancing, which is in other regions",
        ),
        ({"regions": None, "regions_class_order": ["edema"]}, r"needs labels\.regions"),
    ],
)
def test_regions_that_a_mask_could_not_show_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        labels(**changes)


def test_the_smallest_region_comes_last_or_the_order_is_refused() -> None:
    regions = dict(reversed(TUMOUR["regions"].items()))

    with pytest.raises(ValidationError, match="from the largest"):
        labels(regions=regions)
    with pytest.raises(ValidationError, match="a voxel of class core would be written as class ed"):
        labels(regions=regions, regions_class_order=["enhancing", "core", "edema"])


def tree(**model: Any) -> dict[str, Any]:
    whole = tiny_tree(Path("data"), Path("store"))
    whole["labels"] = TUMOUR
    whole["model"] |= model
    return whole


def test_the_network_has_an_output_for_each_region() -> None:
    assert check(tree(), "test").model.out_channels == 3

    with pytest.raises(InputError, match=r"must equal the 3 labels\.regions, found 4"):
        check(tree(out_channels=4), "test")


def test_class_weights_are_of_the_background_and_each_region() -> None:
    config = check({**tree(), "loss": {"class_weights": [1.0, 2.0, 3.0, 4.0]}}, "test")
    assert config.loss.class_weights == (1.0, 2.0, 3.0, 4.0)

    with pytest.raises(InputError, match="each of the 4 regions and the background, found 2"):
        check({**tree(), "loss": {"class_weights": [1.0, 2.0]}}, "test")
