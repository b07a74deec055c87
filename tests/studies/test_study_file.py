"""Study files: what they mean, and one sentence for each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.studies.conftest import written
from vesuv.errors import InputError
from vesuv.studies.detectors import load_study_config
from vesuv.studies.jobs import arm_configs
from vesuv.studies.study_file import read_study

REPOSITORY = Path(__file__).parents[2]


def test_a_shipped_study_has_a_name() -> None:
    assert read_study(Path("terms")).path == REPOSITORY / "configs/studies/terms.yaml"


@pytest.mark.parametrize("file", sorted((REPOSITORY / "configs/studies").glob("*.yaml")), ids=str)
def test_every_shipped_study_loads(file: Path) -> None:
    study = read_study(file)

    configs = arm_configs(study)

    assert len(configs) == len(study.arms) > 1
    assert len({one.model_dump_json() for one in configs.values()}) == len(configs)


def test_nested_and_dotted_keys_of_an_arm_mean_the_same(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["arms"] = {
        "dotted": {"model.filters": 6, "optimizer.lr": 1e-5, "averaging.ema": None},
        "nested": {"model": {"filters": 6}, "optimizer": {"lr": 1e-5}, "averaging": {"ema": None}},
    }

    dotted, nested = arm_configs(read_study(written(study_tree, tmp_path))).values()

    assert dotted == nested
    assert (dotted.model.filters, dotted.optimizer.lr) == (6, 1e-5)


def test_classes_and_regions_of_an_arm_replace_those_of_the_base(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    classes, regions = (
        {"background": 0, "wall": 7, "ink": 5},
        {"any": ["wall", "ink"], "i": ["ink"]},
    )
    study_tree["arms"]["other"] = {"labels": {"classes": classes, "regions": regions}}
    study = read_study(written(study_tree, tmp_path))

    labels = load_study_config(study.base, study.arms[-1].changes).labels

    assert (list(labels.classes), list(labels.regions)) == (list(classes), list(regions))


def test_changes_of_the_command_line_reach_base_and_study(study_file: Path) -> None:
    changes = ["optimizer.lr=0.01", "study.budget.minutes=0.5", "study.seeds=[3, 4]"]

    study = read_study(study_file, changes, ["more filters"])

    assert arm_configs(study)["more filters"].optimizer.lr == 0.01
    assert (study.settings.budget.minutes, study.settings.budget.steps) == (0.5, None)
    assert study.settings.seeds == (3, 4)
    assert [arm.name for arm in study.arms] == ["more filters"]


def test_differences_of_all_arms_come_before_those_of_the_command_line(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"]["set"] = {"sampling": {"batch_size": 3}, "optimizer.lr": 0.5}
    file = written(study_tree, tmp_path)

    study = read_study(file, ["optimizer.lr=0.01"])
    changed = read_study(file, ["study.set.sampling.batch_size=5"])

    for config in arm_configs(study).values():
        assert (config.sampling.batch_size, config.optimizer.lr) == (3, 0.01)
    assert arm_configs(changed)["today"].sampling.batch_size == 5


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({"sampling.patchsize": [8, 8, 8]}, r"sizes\.yaml: study\.set or .*patchsize: unknown key"),
        ({"runtime": {"seed": 3}}, r"sizes\.yaml: study\.set: runtime\.seed is the same in all"),
    ],
)
def test_a_wrong_difference_of_all_arms_is_named(
    differences: dict[str, Any], message: str, study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"]["set"] = differences

    with pytest.raises(InputError, match=message):
        arm_configs(read_study(written(study_tree, tmp_path)))


def test_an_arm_with_other_spacing_has_a_store_of_its_own(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["arms"]["coarse"] = {"data.spacing": [2.0, 2.0, 2.0]}

    configs = arm_configs(read_study(written(study_tree, tmp_path)))

    assert configs["today"].data.store == str(tmp_path / "store")
    assert configs["coarse"].data.store == str(tmp_path / "store_coarse")


@pytest.mark.parametrize(
    ("section", "values", "sentence"),
    [
        ("study", {"folds": [0, 0]}, r"study.folds: names each number once, found \[0, 0\]"),
        ("study", {"fold": [0]}, r"study.fold: unknown key; nearest valid name: folds"),
        ("study", {"folds": []}, r"study.folds: must not have fewer than 1 entries"),
        ("study", {"budget": {}}, r"study.budget: needs one of minutes and steps; give one"),
        ("study", {"budget": {"steps": 0}}, r"study.budget.steps: must be at least 1, found 0"),
        (
            "study",
            {"score": {"measures": ["dicee"]}},
            r"study.score.measures: must be of dice, .* found 'dicee'; did you mean dice\?",
        ),
        ("study", {"base": "none.yaml"}, "none.yaml: no such configuration file"),
        ("arms", {"a/b": {}}, r"arms: a name is one folder, .* found 'a/b'; rename it"),
        ("arms", {"more_filters": {}}, r"would share the folder more_filters; rename one"),
        ("arms", {"x": {"train.epochs": 3}}, r"arms.x: train.epochs is the same in all arms"),
        ("arms", {"x": {"data.folds": {"num": 3}}}, "data.folds.num is the same in all arms"),
        ("arms", {"x": {"model.filterz": 3}}, r"arms.x: .*model.filterz: unknown key"),
    ],
)
def test_a_fault_is_one_sentence(
    study_tree: dict[str, Any], tmp_path: Path, section: str, values: dict[str, Any], sentence: str
) -> None:
    study_tree[section] |= values

    with pytest.raises(InputError, match=sentence) as fault:
        arm_configs(read_study(written(study_tree, tmp_path)))

    assert len(str(fault.value).splitlines()) == 1


def test_an_arm_writes_the_checkpoint_that_is_scored(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"]["score"] = {"checkpoint": "ema"}
    study_tree["arms"]["today"] = {"averaging.ema.decay": 0.9}

    with pytest.raises(
        InputError, match=r"arms.more filters: study.score.checkpoint: is ema, .* turn it on"
    ) as fault:
        arm_configs(read_study(written(study_tree, tmp_path)))

    assert len(str(fault.value).splitlines()) == 1


def test_changes_that_cannot_be_made_are_refused(study_file: Path) -> None:
    with pytest.raises(InputError, match=r"--set study.folds: write study.key=value"):
        read_study(study_file, ["study.folds"])
    with pytest.raises(InputError, match=r"--set runtime.seed=3: runtime.seed is the same in all"):
        read_study(study_file, ["runtime.seed=3"])
    with pytest.raises(InputError, match=r"--arms: must be of today, more filters in .* 'less'"):
        read_study(study_file, arms=["less"])


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("- 1\n")

    with pytest.raises(InputError, match=r"a study is a mapping of study and arms, found \[1\]"):
        read_study(tmp_path / "x.yaml")
