"""A spoilt or hostile file is read or refused in a sentence: no traceback, no hang, no other file.

Some dozen inputs a reader, always the same ones; `bench/fuzz.py` tries thousands.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzzing.pool import fuzz
from bench.fuzzing.worker import all_targets
from vesuv.config import Config, check, load_config
from vesuv.config.text import parse_yaml
from vesuv.errors import InputError

INPUTS = {
    **dict.fromkeys(("TIFF", "NIfTI", "NIfTI, gzip", "NRRD", "MetaImage", "NPY", "Zarr"), 70),
    **dict.fromkeys(("train.csv", "dataset.json", "store", "folds.yaml"), 40),
    **dict.fromkeys(("run folder", "best.json", "run loaded", "cached probabilities"), 25),
    **dict.fromkeys(("run history", "run diagnosed", "run resumed", "run page"), 25),
    "configuration": 40,
    "--set changes": 25,
    "checkpoint": 30,
}
NEVER_REFUSE = ("run page", "run history", "run diagnosed", "cached probabilities")
"""They leave out what they cannot read."""


@pytest.mark.slow
def test_spoilt_files_are_read_or_refused() -> None:
    assert set(INPUTS) == {target.name for target in all_targets()}

    tallies = fuzz(INPUTS, seed=1)

    assert {tally.target: tally.faults for tally in tallies if tally.faults} == {}
    assert {tally.target: tally.tried for tally in tallies} == INPUTS
    assert all(tally.accepted for tally in tallies)
    assert all(tally.refused for tally in tallies if tally.target not in NEVER_REFUSE)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["plain_unet", "dynunet", "adamw", "sgd", "plateau", "cosine", "dice", "focal"]
    ),
)
KEYS = st.one_of(
    st.sampled_from(sorted(Config.model_fields)),
    st.sampled_from(["name", "weights", "epochs", "classes", "ignore", "lr", "patch_size", "swa"]),
    st.text(max_size=5),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(KEYS, below, max_size=4)),
    max_leaves=12,
)
ROOT: dict[str, Any] = {
    "name": "a",
    "data": {"root": "nowhere"},
    "labels": {"classes": {"background": 0, "sheet": 1}},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
}
STILL = settings(
    max_examples=40,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@STILL
@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_any_tree_is_a_configuration_or_refused(tree: dict[str, Any]) -> None:
    try:
        assert isinstance(check(ROOT | tree, "tree"), Config)
    except InputError as refusal:
        assert str(refusal).startswith("tree: ")


@STILL
@given(
    st.one_of(st.text(max_size=60), st.text("[]{}:,&*!?|>'\"%@`#- \n\t.0123456789e", max_size=60))
)
def test_any_text_is_yaml_or_refused(text: str) -> None:
    try:
        parse_yaml(text, "text")
    except InputError as refusal:
        assert str(refusal).startswith("text:")


@STILL
@given(st.lists(st.text(max_size=8), max_size=4), TREES)
def test_any_change_is_made_or_refused(keys: list[str], value: Any) -> None:
    path = Path(__file__).parents[2] / "configs" / "v9_progressive.yaml"
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True)
    change = f"{'.'.join(keys)}={text}"
    try:
        load_config(path, [change])
    except InputError as refusal:
        assert re.search(r"--set|v9_progressive\.yaml|base\.yaml", str(refusal))
