"""The JSON schema of a configuration file, judged by an independent validator."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from vesuv.config import load_config, parse_yaml
from vesuv.config.schema import config_schema
from vesuv.config.shipped import shipped_files

SCHEMA = config_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def messages(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(parse_yaml(text, "text"))]


def test_the_schema_is_valid_against_its_draft() -> None:
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(shipped_files().values()), ids=str)
def test_every_shipped_file_and_its_resolved_values_are_valid(path: Any) -> None:
    assert messages(path.read_text()) == []

    resolved = load_config(path).model_dump(mode="json")
    assert best_match(VALIDATOR.iter_errors(resolved)) is None


@pytest.mark.parametrize(
    "text",
    [
        "train: {epoch: 3}",
        "train: {epochs: many}",
        "train: {epochs: 0}",
        "trains: {}",
        "base: 3",
        "model: {name: unet}",
        "model: {name: plain_unet, variant: S}",
        "sampling: {patch_size: [64, 64]}",
        "labels: {classes: {surface: one}}",
        "loss: {dise: {}}",
        "loss: {focal: {gama: 2.0}}",
        "phases: [{epochs: [0, null]}]",
        "phases: [{epochs: [0, null], weights: {dise: 1.0}}]",
        "inference: {postprocess: [{voxels: 3}]}",
        "inference: {postprocess: [{name: remove_small}]}",
        "inference: {postprocess: [{name: remove_small, voxels: 3, volume: 2.0}]}",
        "selection: {objective: best}",
    ],
)
def test_a_wrong_key_or_value_is_refused(text: str) -> None:
    assert messages(text)


def test_a_file_with_a_base_may_hold_any_part_of_a_section() -> None:
    assert messages("base: v9_progressive\nnoise: {std: 0.1}\ndata: {normalize: {low: 1.0}}") == []
    assert messages("inference: {postprocess: [{name: remove_small, voxels: 3}]}") == []
    assert messages("inference: {postprocess: [{name: remove_small, volume: 2.5}]}") == []


def test_no_section_admits_an_unknown_key() -> None:
    def open_sections(node: Any) -> list[Any]:
        if isinstance(node, list):
            return [one for below in node for one in open_sections(below)]
        if not isinstance(node, dict):
            return []
        is_section = node.get("type") == "object" and "properties" in node
        is_open = is_section and node.get("additionalProperties") is not False
        return [node] * is_open + open_sections(list(node.values()))

    assert len(shipped_files()) > 10
    assert open_sections(SCHEMA) == []
