"""The library under the commands: its public names, and the ten lines of the README."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vesuv

README = Path(__file__).parents[1] / "README.md"

PUBLIC = {
    "Case", "Config", "InputError", "InstanceParameters", "Interrupted", "Listener", "Predictor",
    "TrainedRun", "diagnose", "evaluate", "find_best", "load", "load_config", "losses", "prepare",
    "pretrain", "segment_instances", "select_instances", "suggest", "train",
    "validate_distribution", "visualization",
}  # fmt: skip


def test_the_public_names_are_these_and_each_is_documented() -> None:
    assert set(vesuv.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(vesuv, name).__doc__, name


def test_importing_does_nothing_else() -> None:
    code = (
        "import os, sys\n"
        "before = dict(os.environ)\n"
        "import vesuv\n"
        "assert dict(os.environ) == before\n"
        "assert not {'torch', 'monai', 'rich', 'pydantic'} & set(sys.modules), sys.modules\n"
        "import torch\n"
        "threads = torch.get_num_threads()\n"
        "for name in vesuv.__all__: getattr(vesuv, name)\n"
        "assert torch.get_num_threads() == threads\n"
        "assert dict(os.environ) == before\n"
        "assert not {'cyclopts', 'rich'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_command_line_prints_or_reads_the_command(pytestconfig: pytest.Config) -> None:
    words = ("print(", "sys.argv", "set_num_threads", "os.environ[", "environ.setdefault", "rich")
    source = pytestconfig.rootpath / "vesuv"
    for path in source.rglob("*.py"):
        if source / "cli" in path.parents:
            continue
        for line in path.read_text().splitlines():
            code = line.split("#")[0]
            uses = [w for w in words if re.search(rf"(?<![\w.\"]){re.escape(w)}", code)]
            allowed = path.name == "pool.py" and uses == ["set_num_threads"]
            assert not uses or allowed, f"{path}: {line}"


@pytest.mark.slow
def test_the_python_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = np.zeros((40, 40, 40), np.uint8)
    label[::8] = 1
    images = [100.0 * label + rng.normal(0, 10, label.shape) for _ in range(3)]
    names: dict[str, object] = {"images": images, "labels": [label] * 3, "log": []}
    for block in blocks:
        exec(block, names)

    scores = names["scores"]
    assert isinstance(scores, dict) and scores["dice"] > 0.5
    assert names["log"]
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
