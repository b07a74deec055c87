from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.config.idle import idle_settings

LATE = "begins at epoch 4, after the last epoch 3: it changes nothing"
NO_WEIGHT = "is set, but no phase gives focal a weight: it changes nothing"
READERS = "is set, but no phase gives a weight to cross_entropy or focal"
DICE = [{"epochs": [0, 3], "weights": {"dice": 1.0}}]
LATER = {"epochs": [4, None], "weights": {"focal": 1.0}}


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, []),
        ({"averaging": {"swa": {"start_epoch": 3}}}, []),
        ({"averaging": {"swa": {"start_epoch": 4}}}, [f"averaging.swa {LATE}"]),
        ({"noise": {"start_epoch": 4, "every": 1, "std": 1, "decay": 1}}, [f"noise {LATE}"]),
        ({"phases": [*DICE, LATER]}, [f"phases.1 {LATE}"]),
        ({"phases": DICE, "loss": {"focal": {"gamma": 3.0}}}, [f"loss.focal {NO_WEIGHT}"]),
        ({"phases": [*DICE, LATER], "loss": {"focal": {"gamma": 3.0}}}, [f"phases.1 {LATE}"]),
        ({"phases": DICE, "loss": {"class_weights": [1, 2]}}, [f"loss.class_weights {READERS}"]),
    ],
)
def test_settings_that_change_nothing_are_named(
    changes: dict[str, object], sentences: list[str]
) -> None:
    tree = tiny_tree(Path("data"), Path("store")) | {"train": {"epochs": 4}} | changes

    found = idle_settings(check(tree, "tiny"))

    assert len(found) == len(sentences)
    assert all(one.startswith(sentence) for one, sentence in zip(found, sentences, strict=True))
