from __future__ import annotations

import json

from tests.report.conftest import MakeRun, write_json
from vesuv.config.lineage import default_differences
from vesuv.report.page_config import configuration
from vesuv.report.page_files import read_files


def test_what_differs_from_the_base_is_shown_with_both_values(make_run: MakeRun) -> None:
    html = configuration(read_files(make_run()))

    row = (
        "<td><code>optimizer.lr</code></td><td><code>0.0005</code></td><td><code>0.0125</code></td>"
    )
    assert "Other than in its base (1)" in html
    assert row in html
    assert "<details><summary>Other than the built-in defaults" in html


def test_phases_are_listed_one_a_line(make_run: MakeRun) -> None:
    html = configuration(read_files(make_run()))

    assert (
        "<code>{epochs: [0, 1], weights: {dice: 1.0}, ramp: 0}</code>"
        "<code>{epochs: [2, null], weights: {dice: 0.8, focal: 0.2}, ramp: 0}</code>"
    ) in html


def test_a_configuration_without_a_base_shows_its_defaults_once(make_run: MakeRun) -> None:
    run = make_run()
    config = read_files(run).config
    assert config is not None
    write_json(run / "run.json", {"base_differences": default_differences(config)})

    html = configuration(read_files(run))

    assert "its base" not in html
    assert "<h3>Other than the built-in defaults" in html


def test_a_run_like_its_base_says_so(make_run: MakeRun) -> None:
    run = make_run()
    (run / "run.json").write_text(json.dumps({"base_differences": []}))

    assert "Nothing differs from its base." in configuration(read_files(run))


def test_a_configuration_of_another_version_is_shown_as_text(make_run: MakeRun) -> None:
    run = make_run()
    (run / "config.yaml").write_text("warp: {factor: 9}\n")

    html = configuration(read_files(run))

    assert "not a configuration that this version reads" in html
    assert "warp: {factor: 9}" in html
