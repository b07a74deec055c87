from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tests.planning.surveys import survey, values
from vesuv.config import load_config, parse_yaml
from vesuv.config.differences import default_differences
from vesuv.data.case import PreparedCase
from vesuv.data.folds import make_folds
from vesuv.planning import sizing
from vesuv.planning.proposal import DataSource, Planner, Proposal, nested
from vesuv.planning.recognition import Recognition
from vesuv.planning.sizing import Resources
from vesuv.planning.text import proposal_text
from vesuv.runtime.machine import Machine

CPU = Machine(torch.device("cpu"), "float32", 0, 2, "worker")
COARSE = (5.0, 1.0, 1.0)
SURVEYS: dict[str, dict[str, Any]] = {
    "cubic": {},
    "ignored": {"values": values(v0=0.4, v1=0.1, v2=0.5), "num_groups": 3},
    "coarse": {
        "shape": (20, 200, 200),
        "spacing": COARSE,
        "spacing_low": COARSE,
        "spacing_high": (5.0, 1.5, 1.5),
        "unit": "mm",
    },
    "ct": {"dtype": "int16", "intensity_low": -1000.0, "intensity_low_max": -990.0},
    "channels": {"num_channels": 3, "values": values(v0=0.5, v1=0.2, v3=0.2, v7=0.1)},
    "single": {"num_cases": 1, "num_read": 1, "shape": (30, 101, 122)},
}


@pytest.fixture(autouse=True)
def _few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that are planned within a moment."""
    monkeypatch.setattr(sizing, "_SIZES", ((32, 16, False), (16, 16, False)))


def proposal(minutes: float | None, root: str = "/data/x", **changes: Any) -> Proposal:
    recognition = Recognition({"layout": "folders", "images": "im", "labels": "la"}, "two folders")
    source = DataSource("x", root, recognition, survey(**changes))
    planner = Planner(source, Resources(CPU, 4 * 10**9, minutes, 3e11))
    return planner.propose(planner.size(), None if minutes is None else 0.5)


@pytest.mark.parametrize("minutes", [30.0, None])
@pytest.mark.parametrize("name", SURVEYS)
def test_the_file_is_read_back_as_the_proposal(
    name: str, minutes: float | None, tmp_path: Path
) -> None:
    proposed = proposal(minutes, **SURVEYS[name])
    file = tmp_path / "x.yaml"
    file.write_text(proposal_text(proposed, "vesuv train"))

    assert load_config(file) == proposed.config


@pytest.mark.parametrize("name", SURVEYS)
def test_the_file_holds_only_keys_that_differ_and_every_line_fits(
    name: str, tmp_path: Path
) -> None:
    proposed = proposal(30.0, **SURVEYS[name])
    text = proposal_text(proposed, "vesuv train")

    tree = parse_yaml(text, "x")
    differing = {row["key"] for row in default_differences(proposed.config)}
    sections = {name: keys for name, keys in tree.items() if isinstance(keys, dict)}
    written = {f"{section}.{key}" for section, keys in sections.items() for key in keys}
    for key in written - {"data.root"}:
        assert any(other == key or other.startswith(f"{key}.") for other in differing) or (
            key in ("scheduler.name", "optimizer.name")
        ), key
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 70


def test_every_choice_stands_in_the_file_with_its_reason() -> None:
    proposed = proposal(30.0, **SURVEYS["coarse"])
    text = " ".join(proposal_text(proposed, "vesuv train").replace("#", "").split())

    for choice in proposed.choices:
        assert " ".join(choice.reason.split()) in text, choice.topic
    topics = {choice.topic for choice in proposed.choices}
    assert topics >= {
        "layout", "spacing", "normalisation", "folds", "labels", "ignore", "patch", "batch",
        "channels", "network", "levels", "epochs",
    }  # fmt: skip


def test_spacings_that_differ_are_resampled_to_their_median() -> None:
    proposed = proposal(30.0, **SURVEYS["coarse"])

    assert proposed.config.data.spacing == (5.0, 1.0, 1.0)
    assert proposal(30.0).config.data.spacing is None


def test_the_axis_of_long_voxels_is_resampled_to_its_smallest_spacing() -> None:
    """The median would be 5 along z, where one volume has 2."""
    proposed = proposal(30.0, **SURVEYS["coarse"] | {"spacing_low": (2.0, 1.0, 1.0)})

    assert proposed.config.data.spacing == (2.0, 1.0, 1.0)
    reasons = {choice.topic: choice.reason for choice in proposed.choices}
    assert reasons["spacing"] == (
        "from 2x1x1 to 5x1.5x1.5 mm: every case is resampled to the median, and along z, where "
        "voxels are longest, to the smallest"
    )


def test_cases_are_not_resampled_beside_one_without_a_spacing() -> None:
    proposed = proposal(30.0, **SURVEYS["coarse"] | {"without_spacing": "b.tif"})

    assert proposed.config.data.spacing is None
    assert "b.tif states none, others 5x1x1 mm" in proposal_text(proposed, "vesuv train")


def test_ct_is_normalised_by_percentiles() -> None:
    proposed = proposal(30.0, **SURVEYS["ct"])

    assert proposed.config.data.normalize.name == "percentile"
    (reason,) = [one.reason for one in proposed.choices if one.topic == "normalisation"]
    assert reason.endswith("because each case holds values below -200: else take this out")
    assert proposal(30.0).config.data.normalize.name == "zscore"


def test_several_channels_without_names_are_no_ct_though_one_reaches_far_below_zero() -> None:
    proposed = proposal(30.0, **SURVEYS["ct"] | {"num_channels": 2})

    assert proposed.config.data.normalize.name == "zscore"
    reasons = {choice.topic: choice.reason for choice in proposed.choices}
    assert reasons["normalisation"].endswith("each case by its own mean and deviation")


def test_ct_beside_mr_is_not_normalised_as_ct() -> None:
    """One case reaches down to -1000, another one only to 0."""
    mixed = proposal(30.0, dtype="int16", intensity_low=-1000.0, intensity_low_max=0.0)

    assert mixed.config.data.normalize.name == "zscore"
    reasons = {choice.topic: choice.reason for choice in mixed.choices}
    assert reasons["normalisation"].endswith(
        "; some cases hold values below -200, as CT does, others do not"
    )
    assert "below -200" not in proposal_text(proposal(30.0), "vesuv train")


def test_one_volume_alone_is_cut_in_two() -> None:
    data = proposal(30.0, **SURVEYS["single"]).config.data

    assert (data.parts, data.folds.num) == (2, 2)


def test_the_patch_fits_into_a_part_of_one_volume_alone() -> None:
    """Half of 61 voxels along y are fewer than the patch of the whole volume would have."""
    flat = {"shape": (31, 61, 57), "num_cases": 1, "num_read": 1}
    proposed = proposal(30.0, **flat)

    patch_size = proposed.config.sampling.patch_size
    assert all(edge <= part for edge, part in zip(patch_size, (31, 30, 57), strict=True))
    reasons = {choice.topic: choice.reason for choice in proposed.choices}
    assert "of a median part of 31x30x57" in reasons["patch"]


@pytest.mark.parametrize(
    ("shape", "num_channels", "reason"),
    [
        ((125, 125, 125), 1, "1 in each image"),
        ((1, 125, 125), 3, "3 in each image"),
        (
            (125, 125, 125),
            2,
            "2 in each image; if they are points in time, make each a case of its own",
        ),
    ],
)
def test_channels_of_volumes_may_be_points_in_time(
    shape: tuple[int, int, int], num_channels: int, reason: str
) -> None:
    proposed = proposal(30.0, shape=shape, num_channels=num_channels)

    assert reason in [choice.reason for choice in proposed.choices]


@pytest.mark.parametrize(
    "data", [{"layout": "nnunet"}, {"layout": "ome_zarr", "labels": "a"}], ids=["nnunet", "ome"]
)
def test_channels_that_the_files_state_are_no_points_in_time(data: dict[str, str]) -> None:
    source = DataSource("x", "/data/x", Recognition(data, "names"), survey(num_channels=2))
    planner = Planner(source, Resources(CPU, 4 * 10**9, 30.0, 3e11))

    choices = planner.propose(planner.size(), 0.5).choices

    assert "2 in each image" in [choice.reason for choice in choices]


@pytest.mark.parametrize(
    ("num_cases", "reason"),
    [
        (1, "2 folds: 1 case judges each"),
        (2, "2 folds: 1 case judges each"),
        (3, "3 folds: 1 case judges each"),
        (4, "4 folds: 1 case judges each"),
        (5, "5 folds: 1 case judges each"),
        (6, "5 folds: 1 or 2 cases judge each"),
        (10, "5 folds: 2 cases judge each"),
        (12, "5 folds: 2 or 3 cases judge each"),
        (20, "5 folds: 4 cases judge each"),
    ],
)
def test_there_are_five_folds_or_one_for_each_of_fewer_cases(num_cases: int, reason: str) -> None:
    proposed = proposal(30.0, num_cases=num_cases, num_read=num_cases)

    assert reason in [choice.reason for choice in proposed.choices]
    assert proposed.config.data.folds.num == int(reason[0])


@pytest.mark.parametrize("num_cases", range(2, 9))
@pytest.mark.parametrize("num_groups", [0, 2])
def test_each_proposed_fold_has_cases_to_train_and_to_judge(
    num_cases: int, num_groups: int
) -> None:
    counts = {"num_cases": num_cases, "num_read": num_cases, "num_groups": num_groups}
    config = proposal(30.0, **counts).config.data.folds
    cases = [SimpleNamespace(id=f"c{i}", group=str(i % 2)) for i in range(num_cases)]

    folds = make_folds(cast("Sequence[PreparedCase]", cases), config)

    assert config.by == ("stratified" if num_groups and num_cases > 2 else "random")
    for fold in range(config.num):
        training, validation = folds.split(fold)
        assert validation and len(training) >= len(validation)
        assert len(training) >= num_cases - max(1, -(-num_cases // 5))


def test_the_share_of_the_voxels_that_was_read_is_said() -> None:
    reasons = [choice.reason for choice in proposal(None, read_share=0.249).choices]

    assert reasons[0] == "two folders; 10 cases; 25% of the voxels were read"


def test_groups_are_spread_over_the_folds() -> None:
    assert proposal(30.0, **SURVEYS["ignored"]).config.data.folds.by == "stratified"
    assert proposal(30.0).config.data.folds.by == "random"


@pytest.mark.parametrize("root", ["/a b/c,d", "/x: y #z", "1e5", "true", "/ü/[1]", 'q"q'])
def test_any_path_is_read_back(root: str) -> None:
    text = proposal_text(proposal(30.0, root=root), "vesuv train")

    assert parse_yaml(text, "x")["data"]["root"] == root


def test_dotted_keys_are_nested() -> None:
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
