from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.config import load_config
from vesuv.config.differences import (
    base_differences,
    changed_keys,
    config_differences,
    default_differences,
    root_file,
)
from vesuv.errors import InputError

ROOT = """
data: {root: here}
labels: {classes: {background: 0, surface: 1}, ignore: 2}
phases: [{epochs: [0, null], weights: {dice: 1.0}}]
optimizer: {lr: 1.0e-3}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_values_that_differ_from_the_root_of_the_chain_are_named(tmp_path: Path) -> None:
    write(tmp_path, "root.yaml", ROOT)
    write(tmp_path, "middle.yaml", "base: root.yaml\ntrain: {epochs: 50}\n")
    leaf = write(tmp_path, "leaf.yaml", "base: middle.yaml\noptimizer: {lr: 2.0e-3}\n")
    config = load_config(leaf, ["noise={start_epoch: 4, every: 3, std: 0.1, decay: 0.9}"])

    assert base_differences(leaf, config) == [
        {"key": "train.epochs", "value": 50, "base": 300},
        {"key": "optimizer.lr", "value": 2e-3, "base": 1e-3},
        {
            "key": "noise",
            "value": {
                "start_epoch": 4,
                "every": 3,
                "std": 0.1,
                "decay": 0.9,
                "layers": ["decoder", "output"],
            },
            "base": None,
        },
    ]


def test_a_root_that_is_no_configuration_by_itself_still_counts(tmp_path: Path) -> None:
    write(tmp_path, "root.yaml", "optimizer: {lr: 1.0e-3}\ntrain: {epochs: 50}\n")
    leaf = write(tmp_path, "leaf.yaml", f"base: root.yaml\n{ROOT}train: {{epochs: 60}}\n")

    found = {row["key"]: row for row in base_differences(leaf, load_config(leaf))}

    assert found["train.epochs"] == {"key": "train.epochs", "value": 60, "base": 50}
    assert found["data.root"] == {"key": "data.root", "value": str(tmp_path / "here")}
    assert "optimizer.lr" not in found


def test_a_file_without_a_base_is_compared_with_the_defaults(tmp_path: Path) -> None:
    alone = write(tmp_path, "alone.yaml", ROOT)
    config = load_config(alone)

    assert base_differences(alone, config) == default_differences(config)
    assert {"key": "optimizer.lr", "value": 1e-3, "base": 5e-4} in default_differences(config)


def test_a_section_of_another_kind_is_compared_with_its_own_defaults(tmp_path: Path) -> None:
    alone = write(tmp_path, "alone.yaml", ROOT)
    config = load_config(alone, ["scheduler.name=cosine", "scheduler.t_0=8"])

    rows = [r for r in default_differences(config) if r["key"].startswith("scheduler")]

    assert rows == [
        {"key": "scheduler.name", "value": "cosine", "base": "plateau"},
        {"key": "scheduler.t_0", "value": 8, "base": 10},
    ]


def test_the_root_is_where_the_chain_ends(tmp_path: Path) -> None:
    root = write(tmp_path, "root.yaml", ROOT)
    leaf = write(tmp_path, "leaf.yaml", "base: root.yaml\n")

    assert root_file(leaf) == root
    assert root_file(root) == root


def test_a_circle_of_bases_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path, "one.yaml", "base: two.yaml\n")
    write(tmp_path, "two.yaml", "base: one.yaml\n")

    with pytest.raises(InputError, match="circle"):
        root_file(one)


@pytest.mark.parametrize(
    ("text", "fault"), [(None, "no such configuration"), ("[1]", "is a mapping")]
)
def test_a_base_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, fault: str) -> None:
    leaf = write(tmp_path, "leaf.yaml", "base: root.yaml\n")
    if text is not None:
        write(tmp_path, "root.yaml", text)

    with pytest.raises(InputError, match=rf"root\.yaml: .*{fault}"):
        root_file(leaf)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        (
            "labels.classes",
            "{classes: {none: 0, a: 1, b: 2}}",
            "{classes: {none: 0, b: 2, a: 1}}",
        ),
        (
            "labels.regions",
            "{classes: {none: 0, a: 1, b: 2}, regions: {one: [a], two: [b]}}",
            "{classes: {none: 0, a: 1, b: 2}, regions: {two: [b], one: [a]}}",
        ),
    ],
)
def test_classes_and_regions_in_another_order_differ(
    tmp_path: Path, key: str, one: str, other: str
) -> None:
    first, second = (
        load_config(write(tmp_path, "a.yaml", ROOT), [f"labels={labels}"])
        for labels in (one, other)
    )

    assert changed_keys(first, second) == [key]
    assert [row["key"] for row in config_differences(first, second)] == [key]
    assert changed_keys(first, first) == []
