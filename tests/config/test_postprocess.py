from __future__ import annotations

import json
from pathlib import Path

import pytest

from vesuv.config import check, dump_config, load_config, parse_yaml
from vesuv.config.postprocess import (
    Step,
    begins_with_cut,
    plain_chain,
    read_chain,
    with_threshold,
)
from vesuv.errors import InputError

MINIMAL = """
data: {root: somewhere}
labels: {classes: {background: 0, sheet: 1}}
phases: [{epochs: [0, null], weights: {dice: 1.0}}]
inference: {postprocess: %s}
"""

EVERY = [
    {"name": "hysteresis", "low": 0.3, "high": 0.85},
    {"name": "remove_small", "voxels": 20000, "connectivity": 6},
    {"name": "fill_cavities"},
    {"name": "plug_holes"},
    {"name": "opening", "radius": 2},
    {"name": "closing", "radius": [1, 2, 2]},
    {"name": "diagonal_fill"},
    {"name": "keep_largest", "num": 3, "connectivity": 26},
]


def load(folder: Path, steps: str):
    path = folder / "mine.yaml"
    path.write_text(MINIMAL % steps)
    return load_config(path)


def test_every_step_reads_back_unchanged_from_yaml_and_from_json(tmp_path: Path) -> None:
    config = load(tmp_path, json.dumps(EVERY))

    chain = config.inference.postprocess
    assert plain_chain(chain) == EVERY
    assert check(parse_yaml(dump_config(config), "dump"), "dump") == config
    assert read_chain(json.loads(json.dumps(plain_chain(chain))), "selected.json") == chain


def test_sizes_in_the_unit_of_the_spacing_read_back_unchanged(tmp_path: Path) -> None:
    steps = [
        {"name": "remove_small", "volume": 12.5},
        {"name": "opening", "distance": 1.5},
        {"name": "closing", "distance": 2},
    ]

    config = load(tmp_path, json.dumps(steps))

    chain = config.inference.postprocess
    assert check(parse_yaml(dump_config(config), "dump"), "dump") == config
    assert read_chain(json.loads(json.dumps(plain_chain(chain))), "selected.json") == chain
    assert plain_chain(chain)[0] == {"name": "remove_small", "volume": 12.5, "connectivity": 26}


def test_a_description_names_the_unit_of_every_size() -> None:
    chain = read_chain(
        [
            {"name": "remove_small", "voxels": 20000},
            {"name": "remove_small", "volume": 12.5, "connectivity": 6},
            {"name": "opening", "radius": 2},
            {"name": "opening", "distance": 1.5},
            {"name": "closing", "radius": [1, 2, 2]},
            {"name": "keep_largest", "num": 3},
        ],
        "test",
    )

    assert [str(step) for step in chain] == [
        "remove small 20000 voxels",
        "remove small 12.5 unit³ 6-connected",
        "opening 2 voxels",
        "opening 1.5 unit",
        "closing 1x2x2 voxels",
        "keep largest 3",
    ]
    assert [step.describe("µm") for step in chain[1:4:2]] == [
        "remove small 12.5 µm³ 6-connected",
        "opening 1.5 µm",
    ]


def test_a_step_without_the_spacing_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"^Old: __call__ must take \(self, volume, spacing\)$"):

        class Old(Step):
            def __call__(self, volume):
                return volume


def test_without_steps_the_threshold_is_all_there_is() -> None:
    chain = with_threshold((), 0.4)

    assert plain_chain(chain) == [{"name": "threshold", "value": 0.4}]
    assert with_threshold(chain, 0.7) == chain
    assert begins_with_cut(chain)
    assert not begins_with_cut(read_chain([{"name": "opening"}], "test"))


def test_a_step_may_be_changed_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL % "[{name: fill_cavities}, {name: remove_small, voxels: 9}]")

    changed = load_config(path, ["inference.postprocess.1.voxels=70"])
    assert changed.inference.postprocess[1].voxels == 70
    replaced = load_config(path, ["inference.postprocess=[{name: plug_holes}]"])
    assert plain_chain(replaced.inference.postprocess) == [{"name": "plug_holes"}]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (
            "[{name: closin}]",
            r"postprocess\.0\.name: there is no step 'closin'; .*: closing",
        ),
        ("[{name: zzz}]", r"postprocess\.0\.name: there is no step 'zzz'; names: threshold, hyst"),
        ("[{voxels: 3}]", r"postprocess\.0: must be a mapping such as \{name: fill_cavities\}"),
        ("[opening]", r"postprocess\.0: must be a mapping .*, found 'opening'"),
        ("{name: opening}", r"postprocess: must be a list, found \{'name': 'opening'\}"),
        ("[{name: opening}, {name: remove_small}]", r"postprocess\.1: needs either voxels or"),
        ("[{name: remove_small, voxels: 0}]", r"postprocess\.0\.voxels: .*, found 0"),
        (
            "[{name: remove_small, voxels: 5, conectivity: 6}]",
            r"postprocess\.0\.conectivity: unknown key; nearest valid name: connectivity",
        ),
        ("[{name: keep_largest, connectivity: 8}]", r"0\.connectivity: .*6, 18 or 26, found 8"),
        (
            "[{name: closing, low: 0.1}]",
            r"postprocess\.0\.low: unknown key; it belongs to another inference\.postprocess\.name",
        ),
        ("[{name: closing, radius: [1, 2]}]", r"postprocess\.0\.radius\.2: missing"),
        ("[{name: closing, radius: [0, 0, 0]}]", r"0: radius needs at least one half-axis above"),
        ("[{name: opening, radius: 0}]", r"postprocess\.0\.radius: .*, found 0"),
        ("[{name: threshold, value: 1.5}]", r"postprocess\.0\.value: .*, found 1\.5"),
        (
            "[{name: hysteresis, low: 0.8, high: 0.3}]",
            r"postprocess\.0: low must be below high, found 0\.8 and 0\.3",
        ),
        (
            "[{name: fill_cavities}, {name: threshold, value: 0.3}]",
            r"postprocess: threshold is step 1, but only the first step may cut probabilities",
        ),
    ],
)
def test_a_bad_chain_is_refused_by_name(tmp_path: Path, steps: str, sentence: str) -> None:
    with pytest.raises(InputError, match=rf"mine\.yaml: inference\.{sentence}|{sentence}"):
        load(tmp_path, steps)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ("x", r"^file: must be a list, found 'x'$"),
        ({"name": "opening"}, r"^file: must be a list, found \{'name'"),
        ([3], r"^file\.0: must be a mapping"),
        ([{"name": ["opening"]}], r"^file\.0: must be a mapping"),
        ([{"name": "opening", 3: 4}], r"^file\.0: unknown key '3'"),
        (
            [{"name": "remove_small"}],
            r"^file\.0: needs either voxels or volume \(in the cubed unit .*\), found neither$",
        ),
        ([{"name": "remove_small", "voxels": 3, "volume": 2.0}], r"^file\.0: .*, found both$"),
        ([{"name": "remove_small", "volume": 0.0}], r"^file\.0\.volume: .* above 0, found 0\.0$"),
        (
            [{"name": "opening", "radius": 2, "distance": 2.0}],
            r"^file\.0: needs either radius \(in voxels\) or distance \(in .*\), found both$",
        ),
        (
            [{"name": "closing", "radius": None}],
            r"^file\.0: needs either radius .*, found neither$",
        ),
        ([{"name": "closing", "distance": -1}], r"^file\.0\.distance: .* above 0, found -1$"),
        (
            [{"name": "remove_small", "voxels": 10**400}],
            r"^file\.0\.voxels: must be at most 1099511627776, found",
        ),
        ([{"name": "remove_small", "voxels": True}], r"^file\.0\.voxels: .*, found True"),
        ([{"name": "threshold", "value": float("nan")}], r"^file\.0\.value: .*, found nan"),
        ([{"name": "opening", "radius": 10**9}], r"^file\.0\.radius: .*, found 1000000000"),
        ([{"name": "opening"}, {"name": "threshold", "value": 0.5}], r"^file: threshold is step 1"),
    ],
)
def test_malformed_steps_are_one_sentence(steps, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_chain(steps, "file")


def test_steps_nested_without_end_are_one_sentence() -> None:
    steps: list = []
    for _ in range(100_000):
        steps = [steps]

    with pytest.raises(InputError, match=r"^file: nested too deeply for a list of steps$"):
        read_chain(steps, "file")
