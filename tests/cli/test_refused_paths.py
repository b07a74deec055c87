"""Paths that the system refuses, wherever a verb takes one."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Refused


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    return tmp_path / "one"


@pytest.fixture(params=["a name", "a path", "a loop"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path, loop: Path) -> Path:
    """A path that no system opens: too long, or a link that leads to itself."""
    too_deep = tmp_path.joinpath(*["b" * 120] * 40)
    return {"a name": tmp_path / ("a" * 300), "a path": too_deep, "a loop": loop}[request.param]


def test_a_path_that_the_system_refuses_is_one_sentence(
    refused: Refused, unusable: Path, tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "name: c\ndata: {root: nowhere}\nlabels: {classes: {background: 0, a: 1}, ignore: 2}\n"
        "phases: [{epochs: [0, null], weights: {dice: 1.0}}]\n"
    )
    verbs: list[Sequence[object]] = [
        ("prepare", "--config", config, "--set", f"data.root={unusable}"),
        ("prepare", "--config", config, "--set", f"data.store={unusable}"),
        ("train", "--config", config, "--fold", 0, "--output", unusable),
        ("diagnose", "--run", unusable),
        ("validate_distribution", "--run", unusable),
        ("predict", "--best", unusable, "--input", unusable, "--output", tmp_path / "o"),
        ("phantom", "--output", unusable),
        ("evaluate", "--predictions", unusable, "--labels", unusable),
    ]
    for words in verbs:
        error = refused(*words)
        assert re.fullmatch(r"error: [^\n]+\n", error), (words, error)
