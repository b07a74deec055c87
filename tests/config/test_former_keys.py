from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.config import dump_config, load_config
from vesuv.config.training import InferenceConfig
from vesuv.errors import InputErrors
from vesuv.runs.records import SelectedInference


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("mirror", "views"), [("true", "mirror"), ("false", "none")])
def test_a_former_mirror_is_read_as_views_and_written_as_views(
    tmp_path: Path, mirror: str, views: str
) -> None:
    path = _write(tmp_path, "a.yaml", f"base: base\ninference: {{mirror: {mirror}}}\n")

    config = load_config(path)

    assert config.inference.views == views
    assert f"views: {views}" in dump_config(config)
    assert "mirror:" not in dump_config(config)


def test_the_later_of_two_files_wins_under_either_name(tmp_path: Path) -> None:
    old = _write(tmp_path, "old.yaml", "base: base\ninference: {mirror: true}\n")
    new = _write(tmp_path, "new.yaml", "base: old.yaml\ninference: {views: all}\n")
    newest = _write(tmp_path, "newest.yaml", "base: new.yaml\ninference: {mirror: false}\n")

    assert load_config(old, ["inference.views=all"]).inference.views == "all"
    assert load_config(new).inference.views == "all"
    assert load_config(newest).inference.views == "none"
    assert load_config(newest, ["inference.mirror=true"]).inference.views == "mirror"


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{mirror: true, views: none}", "mirror: is the former name of views; leave it out"),
        ("{mirror: 3}", "mirror: must be true or false, found 3; or give views"),
        ("{views: some}", "views"),
    ],
)
def test_what_means_no_views_is_refused(tmp_path: Path, section: str, sentence: str) -> None:
    path = _write(tmp_path, "a.yaml", f"base: base\ninference: {section}\n")

    with pytest.raises(InputErrors, match=sentence):
        load_config(path)


def test_records_of_runs_are_read_under_the_former_name() -> None:
    assert SelectedInference.model_validate({"mirror": True}).views == "mirror"
    assert SelectedInference.model_validate({"mirror": False, "overlap": 0.5}).views == "none"
    assert SelectedInference.model_validate({"mirror": None}).views is None
    assert SelectedInference.model_validate({"views": "all"}).views == "all"
    assert InferenceConfig.model_validate({"mirror": True}) == InferenceConfig(views="mirror")
