from __future__ import annotations

import inspect

import pytest

from tests.config.test_sentences import sections
from vesuv.config import Config
from vesuv.config.explain import explain, shipped_values
from vesuv.config.keys import all_keys
from vesuv.errors import InputError


def test_every_key_of_every_section_has_a_meaning_in_one_paragraph() -> None:
    bare = [
        f"{section.__name__}.{key}"
        for section in sections(Config)
        for key, field in section.model_fields.items()
        if not inspect.isabstract(section)
        and not (field.description and field.description.strip().endswith((".", ")")))
    ]

    assert bare == []


@pytest.mark.parametrize("key", all_keys(Config))
def test_every_key_can_be_explained(key: str) -> None:
    for meaning in explain(key):
        assert meaning.meaning
        assert meaning.keys or meaning.kind


def test_a_key_is_explained_by_meaning_type_range_and_default() -> None:
    (epochs,) = explain("train.epochs")

    assert epochs.meaning == "Epochs of the whole run."
    assert (epochs.kind, epochs.default) == ("whole number, at least 1", "300")


@pytest.mark.parametrize(
    ("key", "kind", "default"),
    [
        ("sampling.patch_size", "list of 3: whole number, at least 1", "[128, 128, 128]"),
        ("inference.overlap", "number, at least 0, below 1", "0.5"),
        ("runtime.compile", "true or false", "false"),
        ("labels.ignore", "whole number or null", "null"),
        ("train.non_finite", "stop or rollback", '"stop"'),
        ("optimizer.name", "adamw or sgd or muon", '"adamw"'),
        ("data.root", "text", ""),
        ("phases.2.ramp", "whole number, at least 0", "0"),
    ],
)
def test_types_and_ranges_are_words(key: str, kind: str, default: str) -> None:
    (meaning,) = explain(key)

    assert (meaning.kind, meaning.default) == (kind, default)


def test_a_key_of_several_kinds_of_section_is_explained_for_each() -> None:
    defaults = {meaning.owner: meaning.default for meaning in explain("optimizer.lr")}

    assert defaults == {"name: adamw": "0.0005", "name: sgd": "0.01", "name: muon": "0.05"}


def test_a_section_is_explained_by_its_keys() -> None:
    (section,) = explain("early_stopping")

    assert [below.key for below in section.keys] == ["early_stopping.patience"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("train.epoch", r"nearest valid name: train\.epochs"),
        ("train.batch_size", r"nearest valid names: sampling\.batch_size"),
        ("gama", r"nearest valid name: \S*\.gamma"),
        ("xyz", r"sections: base, name, data, labels"),
        ("", r"no such key"),
    ],
)
def test_a_wrong_key_is_answered_by_the_nearest_one(key: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        explain(key)


def test_the_shipped_files_that_set_a_key_are_named_with_their_values() -> None:
    values = {"demo": 0.99, "fib25": 0.995, "surface": 0.999}
    assert shipped_values("averaging.ema.decay") == values
    assert shipped_values("model.filters") == dict.fromkeys(
        ("base", "demo", "fib25", "image_log", "raster_log"), 32
    )
    assert shipped_values("runtime.compile") == {}
