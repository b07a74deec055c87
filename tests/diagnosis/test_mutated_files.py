"""Whatever a kill, a full disk or a stranger left in a run's files: findings or silence."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest

from vesuv.config import Config
from vesuv.diagnosis import Evidence, compare, diagnose, finding_lines
from vesuv.training.train import train

FILES = ("metrics.csv", "events.jsonl", "evidence.jsonl", "run.json")
WORDS = (
    b"null", b"NaN", b"-1", b"1e999", b'"x"', b"[]", b"{}", b"0", b"true", b"9" * 40, b",", b"\n",
    b'"', b"\xff\x00",
)  # fmt: skip
TOKEN = re.compile(rb'-?\d+\.?\d*|"[a-z_/|]+"')


def mutated(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(0, 20)):
        if not content:
            break
        at = rng.randrange(len(content))
        choice = rng.random()
        token = TOKEN.search(content, at)
        if choice < 0.5 and token is not None:
            content = content[: token.start()] + rng.choice(WORDS) + content[token.end() :]
        elif choice < 0.7:
            content = content[:at] + content[at + rng.randint(1, 60) :]
        else:
            content = content[:at] + rng.choice(WORDS) + content[at:]
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.1 else content


@pytest.mark.slow
def test_a_hundred_mutated_runs_are_read_without_a_fault(
    tiny_config: Config, tmp_path: Path
) -> None:
    run = train(tiny_config, output=tmp_path / "run")
    whole = Evidence.read(run.path)
    rng = random.Random(7)
    broken = tmp_path / "broken"
    broken.mkdir()
    shutil.copy(run.folder.config_file, broken / "config.yaml")
    contents = {name: (run.path / name).read_bytes() for name in FILES}

    kept = 0
    for _ in range(100):
        for name, content in contents.items():
            (broken / name).write_bytes(mutated(content, rng))
        evidence = Evidence.read(broken)
        finding_lines(diagnose(evidence))
        compare([evidence, whole])
        kept += len(evidence.observations)

    assert 0 < kept < 100 * len(whole.observations)
