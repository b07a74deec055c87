"""What is wrong with a value is said in the project's own words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from vesuv.config import Config, load_config
from vesuv.config.keys import sections_of
from vesuv.config.sentences import _RULES, broken_rule
from vesuv.errors import InputError

LIBRARY_WORDS = re.compile(r"Input should|a valid |Value error|Field required|Tuple|ictionary")
WRONG = [
    "many",
    "",
    -3,
    0,
    1.5,
    10**30,
    -0.5,
    True,
    float("inf"),
    None,
    {},
    {"x": 1},
    {"many": "x"},
]
WRONG += [(), (1,), ("x",), (0.1,) * 9, (-1, -1, -1), (0.9, 0.1), ((0.9, 0.1),), ((),), ({},)]


def sections(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield section
    for field in section.model_fields.values():
        for below in sections_of(field):
            yield from sections(below)


def faults(section: type[BaseModel], values: Any) -> list[Any]:
    try:
        section.model_validate(values)
    except ValidationError as fault:
        return fault.errors()
    return []


def test_no_wrong_value_of_any_key_is_answered_in_the_librarys_words() -> None:
    errors = []
    for section in {one for one in sections(Config) if not inspect.isabstract(one)}:
        errors += [error for value in WRONG for error in faults(section, value)]
        for key in section.model_fields:
            errors += [error for value in WRONG for error in faults(section, {key: value})]

    sentences = [broken_rule(error) for error in errors]

    assert {error["type"] for error in errors} == {*_RULES, "value_error", "missing"}
    assert [text for text in sentences if LIBRARY_WORDS.search(text)] == []
    assert all(" " in text for text in sentences)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.epochs=many", "train.epochs: must be a whole number, found 'many'"),
        ("train.epochs=0", "train.epochs: must be at least 1, found 0"),
        ("optimizer.lr=fast", "optimizer.lr: must be a number, found 'fast'"),
        ("optimizer.lr=0.0", "optimizer.lr: must be above 0, found 0.0"),
        ("optimizer.lr=.inf", "optimizer.lr: must be a finite number, found inf"),
        ("inference.overlap=1", "inference.overlap: must be below 1, found 1"),
        ("augment.noise.p=2", "augment.noise.p: must be at most 1, found 2"),
        ("runtime.compile=yes", "runtime.compile: must be true or false, found 'yes'"),
        (
            "runtime.device=gpu",
            "runtime.device: must be 'auto', 'cpu', 'cuda' or 'mps', found 'gpu'",
        ),
        ("data.root=3", "data.root: must be text, found 3"),
        ("train=3", "train: must be a mapping of keys, found 3"),
        ("labels.classes=3", "labels.classes: must be a mapping, found 3"),
        (
            "labels.classes.surface=one",
            "labels.classes.surface: must be a whole number or a list of them, found 'one'",
        ),
        ("sampling.patch_size=64", "sampling.patch_size: must be a list, found 64"),
        (
            "sampling.patch_size=[64, 64]",
            "sampling.patch_size.2: missing; the list is too short, give it a value",
        ),
        (
            "sampling.patch_size=[64, 64, 64, 64]",
            "sampling.patch_size: must not have more than 3 entries, found [64, 64, 64, 64]",
        ),
        ("phases=[]", "phases: must not have fewer than 1 entries, found []"),
    ],
)
def test_a_wrong_value_is_answered_by_the_rule_and_the_value(change: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config("demo", [change])

    assert str(caught.value) == f"--set {change}: {sentence}"
