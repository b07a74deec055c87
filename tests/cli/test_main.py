import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from vesuv.cli import main, spread

REPOSITORY = Path(__file__).parents[2]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_an_option_takes_several_values() -> None:
    assert spread(["train", "--fold", "0", "1", "--set", "a.b=1", "c=2", "--resume"]) == [
        "train", "--fold", "0", "--fold", "1", "--set", "a.b=1", "--set", "c=2", "--resume",
    ]  # fmt: skip
    assert spread(["--config", "x", "--fold", "--resume"]) == [
        "--config",
        "x",
        "--fold",
        "--resume",
    ]


def test_help_names_every_verb_and_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from vesuv.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'SimpleITK' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    verbs = {path.stem for path in (REPOSITORY / "bin").glob("*.py")}
    assert verbs and all(verb in done.stdout for verb in verbs)


def test_a_fault_in_the_configuration_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = str(REPOSITORY / "configs/v9_progressive.yaml")

    said = fails(capsys, "train", "--config", config, "--fold", "0", "--set", "loss.dise.smooth=1")

    assert said == (
        "error: --set loss.dise.smooth=1: loss.dise: unknown key; nearest valid name: dice\n"
    )


def test_missing_data_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(REPOSITORY / "configs/v9_progressive.yaml")

    said = fails(capsys, "prepare", "--config", config, "--set", "data.root=nowhere")

    assert said.startswith("error: ") and "nowhere" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_fold_is_a_number_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(REPOSITORY / "configs/demo.yaml")

    assert "--fold: must be a number from 0, or all; found 'first'" in fails(
        capsys, "train", "--config", config, "--fold", "first"
    )


def test_evaluate_takes_several_folders_and_measures(tmp_path: Path) -> None:
    for folder in ("one", "two", "labels"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.ones((2, 2, 2), dtype=np.uint8))
    folders = [str(tmp_path / name) for name in ("one", "two", "labels", "out")]

    with pytest.raises(SystemExit) as stop:
        main([
            "evaluate", "--predictions", *folders[:2], "--labels", folders[2],
            "--output", folders[3], "--measures", "voi", "surface_dice@1",
            "--leaderboard", "bounds",
        ])  # fmt: skip

    assert stop.value.code == 0
    summary = yaml.safe_load((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["predictions"]) == ["one", "two"]
    assert summary["measures"] == ["leaderboard:bounds", "voi", "surface_dice@1"]


def test_the_readme_names_only_verbs_and_configurations_that_are_there() -> None:
    words = (REPOSITORY / "README.md").read_text().split()
    named = {word for word in words if word.startswith(("bin/", "configs/")) and "." in word}

    assert named
    for word in named:
        assert (REPOSITORY / word.strip("`,:;()")).exists(), word


def test_every_key_of_the_configuration_is_read_somewhere() -> None:
    source = "".join(
        path.read_text()
        for path in (REPOSITORY / "vesuv").rglob("*.py")
        if path.parent.name != "config"
    )
    from vesuv.config import Config
    from vesuv.config.load import _all_names

    unread = {
        name
        for name in _all_names(Config)
        if f".{name.split('.')[-1]}" not in source and name.split(".")[-1] != "name"
    }
    assert unread == set()


def test_shipped_yaml_is_short() -> None:
    for path in (REPOSITORY / "configs/history").glob("*.yaml"):
        assert len(yaml.safe_load(path.read_text())) <= 11, path
