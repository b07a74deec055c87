"""Keys and configurations of the pages against the configuration itself."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.configuration import keys_of, section_meanings
from tests.docs.pages import blocks, code_spans, page_names
from vesuv.config import Config, check, load_config
from vesuv.errors import InputError
from vesuv.studies.jobs import arm_configs
from vesuv.studies.study_file import read_study

BASE: dict[str, Any] = {
    "name": "page",
    "data": {"root": "data"},
    "labels": {"classes": {"background": 0, "surface": 1}, "ignore": 2},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
}
"""What a part of a configuration is completed with."""
_SECTIONS = "|".join(Config.model_fields)
_KEY = re.compile(rf"(?:{_SECTIONS})(?:\.\w+)+")
_NOT_KEYS = re.compile(r"\.(?:py|md|json|yaml|csv|npz|jsonl|log|html|pt|zarr|train_fold)$")
_FROM_ELSEWHERE = {"volume_error"}
"""Losses of the package that a page makes."""


def keys_in(text: str) -> list[str]:
    """Return the dotted keys in code, `--set` arguments among them; names of files are none."""
    words = re.split(r"[\s'\"`]+", text)
    keys = [match[0] for word in words if (match := _KEY.match(word.split("=")[0].rstrip(":")))]
    return [key for key in keys if not _NOT_KEYS.search(key)]


@pytest.fixture(scope="module")
def known_keys() -> set[str]:
    """Every key of the configuration, sections among them."""
    return set(keys_of(section_meanings().values()))


def without_positions(key: str) -> str:
    """Leave out positions in a list."""
    return ".".join(part for part in key.split(".") if not part.isdigit())


@pytest.mark.parametrize("page", page_names())
def test_each_key_that_a_page_names_is_read(page: str, known_keys: set[str]) -> None:
    spans = [span for span in code_spans(page) if "/" not in span]
    shell = [
        line
        for block in blocks(page)
        if block.language != "python"
        for line in block.text.splitlines()
    ]
    for text in [*spans, *(line for line in shell if "--set" in line)]:
        for key in keys_in(text):
            if not _FROM_ELSEWHERE & set(key.split(".")):
                assert without_positions(key) in known_keys, f"{page}: {key}"


@pytest.mark.parametrize("page", page_names())
def test_each_configuration_on_a_page_is_valid(page: str, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml" and block.text.startswith("study:"):
            (tmp_path / "study.yaml").write_text(block.text)
            arm_configs(read_study(tmp_path / "study.yaml", ["data.root=data"]))
        elif block.language == "yaml" and "file: volume.yaml" not in block.marker:
            check(completed(yaml.safe_load(block.text)), page)


@pytest.mark.parametrize("page", page_names())
def test_changes_by_set_are_valid(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(yaml.safe_dump(BASE))
    for block in blocks(page):
        for words in block.commands if block.language == "bash" else []:
            changes = [one for one in changes_of(words) if not one.startswith("study.")]
            load_config(tmp_path / "page.yaml", changes)


def changes_of(words: list[str]) -> list[str]:
    """Return what follows --set up to the next option."""
    if "--set" not in words:
        return []
    rest = words[words.index("--set") + 1 :]
    end = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
    return rest[:end]


def completed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a configuration with the sections that it leaves out."""
    tree = dict(tree)
    tree.pop("base", None)
    data = {**BASE["data"], **tree.get("data", {})}
    return {**BASE, **tree, "data": {**data, "root": str(data["root"])}}


def test_a_key_that_nothing_reads_would_be_found(known_keys: set[str]) -> None:
    assert "loss.dice.smooth" in known_keys
    assert "loss.dyce.smooth" not in known_keys
    assert keys_in("sampling.patch_size: [1]") == ["sampling.patch_size"]
    assert keys_in(" ".join(shlex.split("--set loss.dyce.smooth=1"))) == ["loss.dyce.smooth"]
    with pytest.raises(InputError, match="unknown key"):
        check(completed({"loss": {"dyce": {}}}), "page")


def test_pages_name_many_keys() -> None:
    named = {key for page in page_names() for span in code_spans(page) for key in keys_in(span)}

    assert len(named) > 40
