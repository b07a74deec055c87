"""CITATION.cff against the format's own schema, and against the package."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import vesuv

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "tests/data/citation/schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def citation() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return content


def test_the_citation_is_valid(citation: dict[str, Any]) -> None:
    jsonschema.validate(citation, SCHEMA)


def test_a_citation_without_authors_is_not_valid(citation: dict[str, Any]) -> None:
    del citation["authors"]

    with pytest.raises(jsonschema.ValidationError, match="authors"):
        jsonschema.validate(citation, SCHEMA)


def test_the_citation_names_the_version_and_licence_of_the_package(
    citation: dict[str, Any],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert citation["version"] == vesuv.__version__ == version("vesuv")
    assert "version" in project["project"]["dynamic"]  # stated nowhere else
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "vesuv.__version__"}
    assert citation["license"] == project["project"]["license"]
