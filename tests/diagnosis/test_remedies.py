"""A remedy that names a key must name one that is there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import vesuv.diagnosis
from tests.diagnosis.conftest import TREE, MakeEvidence
from vesuv.config import Config, load_config
from vesuv.config.keys import all_keys
from vesuv.diagnosis.findings import extra_label_as_foreground as extra_label
from vesuv.runs.records import LabelShares

FILES = sorted(Path(vesuv.diagnosis.__file__).parent.rglob("*.py"))
SECTIONS = "|".join(Config.model_fields)
KEY = re.compile(rf"(?<![\w./])((?:{SECTIONS})(?:\.(?:\w+|\{{\w+\}}))+)=")


def named(path: Path) -> set[str]:
    joined = re.sub(r'"\s*\n\s*f?"', "", path.read_text())
    return set(KEY.findall(joined))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_in_a_remedy_is_a_key_of_the_configuration(path: Path) -> None:
    known = set(all_keys(Config))

    assert {key for key in named(path) if key.replace("{name}", "blur") not in known} == set()


def test_keys_are_found_at_all() -> None:
    found: set[str] = set().union(*map(named, FILES))

    assert {"optimizer.lr", "augment.{name}.p", "labels.ignore", "plateau.cap"} <= found


def test_a_remedy_can_be_pasted_into_the_command_line(make: MakeEvidence, tmp_path: Path) -> None:
    labels: dict[str, Any] = {"classes": {"background": 0, "surface": [1, 2]}, "ignore": None}
    values = {"0": 0.39, "1": 0.05, "2": 0.56}
    census = LabelShares(values=values, foreground=0.61, ignore=0.0, patches_with_foreground=1.0)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**TREE, "labels": labels}))
    finding = extra_label.find(make(census=census, labels=labels))
    assert finding is not None

    words = shlex.split(finding.remedy)
    begin = words.index("--set") + 1
    repaired = load_config(tmp_path / "run.yaml", words[begin : begin + 2])

    assert repaired.labels.ignore == 2
    assert repaired.labels.values() == [("background", (0,)), ("surface", (1,))]
