from pathlib import Path

import pytest

from vesuv.config import load_config
from vesuv.config.load import load_with_origins
from vesuv.config.shipped import config_path, shipped_files, shipped_folder

REPOSITORY = Path(__file__).parents[2]
MINE = """
data: {root: raw, store: ../store}
labels: {classes: {background: 0, sheet: 1}}
phases: [{epochs: [0, null], weights: {dice: 1.0}}]
"""


def test_a_name_without_folder_and_suffix_is_a_shipped_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v9_progressive").write_text(MINE)
    (tmp_path / "v9_progressive.yaml").write_text(MINE)

    assert load_config("v9_progressive").loss.focal.alpha == 0.4
    assert load_config("v2_optimized_target_0.35").validation.threshold == 0.6
    assert load_config("./v9_progressive").data.root == "raw"
    assert load_config("v9_progressive.yaml").data.root == "raw"


def test_every_shipped_file_has_a_name_and_the_upper_base_wins() -> None:
    configs = REPOSITORY / "configs"
    files = {path.resolve() for path in configs.rglob("*.yaml")}
    for folder in ("studies", "curves"):
        files -= {path.resolve() for path in (configs / folder).rglob("*")}

    assert {path.resolve() for path in shipped_files().values()} == files - {
        REPOSITORY / "configs/history/base.yaml"
    }
    assert shipped_files()["base"].parent == shipped_folder()


def test_a_users_file_inherits_from_a_shipped_one_by_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: v9_progressive\ndata: {root: raw}\n")

    config = load_config(mine)

    assert config.name == "mine"
    assert config.early_stopping is not None and config.early_stopping.patience == 40
    assert config.data.root == str(tmp_path / "raw")
    assert config.data.store == "log/prepared/surface"


def test_a_relative_path_counts_from_the_folder_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project/configs").mkdir(parents=True)
    (tmp_path / "project/configs/mine.yaml").write_text(MINE)
    monkeypatch.chdir(tmp_path)

    config = load_config("project/configs/mine.yaml")
    changed = load_config("project/configs/mine.yaml", ["data.root=raw"])
    absolute = load_config("project/configs/mine.yaml", ["data.root=/data/raw"])

    assert config.data.root == "project/configs/raw"
    assert config.data.store == "project/store"
    assert changed.data.root == "raw"
    assert absolute.data.root == "/data/raw"


def test_a_path_in_a_base_counts_from_the_bases_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "base.yaml").write_text(MINE)
    (tmp_path / "below/mine.yaml").write_text("base: ../base.yaml\n")

    assert load_config(tmp_path / "below/mine.yaml").data.root == str(tmp_path / "raw")


def test_a_path_in_a_shipped_configuration_counts_from_the_current_folder() -> None:
    assert load_config("demo").data.root == "log/demo/data"
    assert load_config(REPOSITORY / "configs/demo.yaml").data.store == "log/demo/prepared"


def test_a_path_that_is_no_shipped_name_stays_a_path() -> None:
    assert config_path("mine", Path("folder")) == Path("folder/mine")
    assert config_path("configs/base") == Path("configs/base")


def test_each_value_knows_the_file_or_change_that_it_is_from(tmp_path: Path) -> None:
    base, mine = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    base.write_text(MINE + "train: {epochs: 9}\nscheduler: {name: plateau, warmup_epochs: 4}\n")
    mine.write_text("base: base.yaml\nscheduler: {name: cosine}\n")

    _, origins = load_with_origins(mine, ["train.steps_per_epoch=3", "phases.0.ramp=2"])

    assert origins["train", "epochs"] == str(base)
    assert origins["train", "steps_per_epoch"] == "--set train.steps_per_epoch=3"
    assert origins["scheduler", "name"] == str(mine)
    assert ("scheduler", "warmup_epochs") not in origins
    assert origins["phases",] == f"{base}, --set phases.0.ramp=2"
