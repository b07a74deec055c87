import pytest

from tests.diagnosis.conftest import MakeEvidence
from vesuv.diagnosis.findings.small_patch import find
from vesuv.runs.observation import Structure

SHEETS = {"structure": Structure(spacing=(40.0, 14.0, 12.0), thickness=3.0)}


def test_a_patch_of_less_than_two_spacings_is_named(make: MakeEvidence) -> None:
    finding = find(make(observations=[SHEETS], sampling={"patch_size": [16, 16, 16]}))

    assert finding is not None
    assert "3 voxels thick, repeats every 40, 14, 12 voxels along z, y, x" in finding.evidence
    assert "the patch of [16, 16, 16] spans 1.3 of them at most" in finding.evidence
    assert "a batch of 2 shows about 2.7 pieces" in finding.evidence
    assert "sampling.patch_size=[80, 28, 24]" in finding.remedy
    assert finding.numbers["largest_span"] == pytest.approx(16 / 12)


def test_two_spacings_along_one_axis_are_enough(make: MakeEvidence) -> None:
    assert find(make(observations=[SHEETS], sampling={"patch_size": [16, 16, 24]})) is None
    assert find(make(observations=[SHEETS], sampling={"patch_size": [16, 16, 20]})) is not None


def test_nothing_is_said_where_nothing_repeats(make: MakeEvidence) -> None:
    tiny = {"patch_size": [16, 16, 16]}

    assert find(make(observations=[{"structure": Structure()}], sampling=tiny)) is None
    assert find(make(observations=[{}], sampling=tiny)) is None


def test_a_patch_of_two_voxels_at_the_lowest_level_is_named(make: MakeEvidence) -> None:
    fine = {"structure": Structure(spacing=(8.0, 8.0, 8.0), thickness=2.0, extent=(100, 64, 20))}
    deep = {"name": "plain_unet", "filters": 8, "depth": 4}

    finding = find(make(observations=[fine], model=deep))

    assert finding is not None
    assert "the patch of [32, 32, 32] has 2 voxels along its longest edge" in finding.evidence
    assert "sampling.patch_size=[64, 64, 32]" in finding.remedy


def test_four_voxels_at_the_lowest_level_are_enough(make: MakeEvidence) -> None:
    fine = {"structure": Structure(spacing=(8.0, 8.0, 8.0), extent=(100, 100, 100))}
    deep = {"name": "plain_unet", "filters": 8, "depth": 3}
    small = {"structure": Structure(spacing=(8.0, 8.0, 8.0), extent=(40, 40, 40))}

    assert find(make(observations=[fine], model=deep)) is None
    assert find(make(observations=[small], model={**deep, "depth": 4})) is None, "cases are small"
