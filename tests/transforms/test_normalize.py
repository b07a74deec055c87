from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vesuv.config.section import Section
from vesuv.data.statistics import (
    CaseStatistics,
    DatasetStatistics,
    case_statistics,
    merge_statistics,
)
from vesuv.errors import InputError
from vesuv.runs.records import NormalizerRecord
from vesuv.transforms.normalize import (
    ByChannel,
    ChannelNormalization,
    Fixed,
    FixedRange,
    MinMax,
    Normalizer,
    Percentile,
    ZScore,
    build_normalizer,
)

NO_STATISTICS = DatasetStatistics(0, None)

RAMP = np.arange(101, dtype=np.uint8).reshape(1, 1, 1, 101)
CASE = case_statistics(RAMP, np.ones((1, 1, 101), np.uint8))


def test_zscore_gives_mean_zero_and_deviation_one_for_each_channel() -> None:
    image = np.random.default_rng(0).normal(7.0, 3.0, (2, 8, 9, 10)).astype(np.float32)
    mapping = build_normalizer(ZScore(), NO_STATISTICS).for_case(case_statistics(image, None))

    result = mapping.apply(torch.from_numpy(image))

    assert result.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert result.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0, 1.0], abs=1e-2)


def test_a_constant_image_becomes_zero() -> None:
    image = np.full((1, 2, 2, 2), 9, np.uint8)
    mapping = build_normalizer(ZScore(), NO_STATISTICS).for_case(case_statistics(image, None))

    assert mapping.apply(torch.from_numpy(image)).abs().max() == 0.0


def test_the_input_is_not_changed() -> None:
    image = torch.ones(1, 2, 2, 2)
    mapping = Normalizer(
        name="range", low=(0.0,), high=(1.0,), shift=(0.5,), scale=(0.5,)
    ).for_case(CASE)

    mapping.apply(image)

    assert torch.equal(image, torch.ones(1, 2, 2, 2))


def test_percentile_clips_and_scales_by_the_foreground_of_all_cases() -> None:
    config = Percentile(name="percentile", low=10.0, high=90.0)
    mapping = build_normalizer(config, merge_statistics([CASE])).for_case(CASE)

    result = mapping.apply(torch.from_numpy(RAMP)).ravel()

    deviation = np.arange(101).std()
    assert result[0].item() == pytest.approx((10.0 - 50.0) / deviation, rel=1e-3)
    assert result[60].item() == pytest.approx(10.0 / deviation, rel=1e-3)
    assert result[100].item() == pytest.approx(40.0 / deviation, rel=1e-3)


def test_percentile_without_foreground_is_refused() -> None:
    with pytest.raises(InputError, match=r"percentile needs labelled foreground"):
        build_normalizer(Percentile(name="percentile"), NO_STATISTICS)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.uint16, torch.float32])
def test_a_range_maps_to_minus_one_and_one_for_every_type(kind: torch.dtype) -> None:
    mapping = build_normalizer(FixedRange(low=10.0, high=30.0), NO_STATISTICS).for_case(CASE)
    image = torch.tensor([[[[0, 10, 20, 30, 99]]]]).to(kind)

    result = mapping.apply(image)

    assert result.dtype == torch.float32
    assert result.ravel().tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]


def test_one_range_applies_to_any_number_of_channels() -> None:
    two = CaseStatistics((0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0))
    mapping = build_normalizer(FixedRange(name="range", low=0.0, high=2.0), NO_STATISTICS).for_case(
        two
    )

    assert mapping.apply(torch.zeros(2, 1, 1, 1)).ravel().tolist() == [-1.0, -1.0]


def test_a_case_with_other_channels_than_the_training_s_is_refused() -> None:
    normalizer = build_normalizer(Percentile(name="percentile"), merge_statistics([CASE]))
    three = CaseStatistics(*(((0.0,) * 3,) * 4))

    assert len(normalizer.for_case(CASE).low) == 1
    with pytest.raises(InputError, match=r"image has 3 channels.*made for 2"):
        Normalizer(
            name="percentile", **dict.fromkeys(("low", "high", "shift", "scale"), (0.0, 1.0))
        ).for_case(three)


def test_a_normalizer_survives_json_exactly() -> None:
    for normalizer in (
        build_normalizer(Percentile(name="percentile"), merge_statistics([CASE])),
        build_normalizer(ZScore(), NO_STATISTICS),
    ):
        record = NormalizerRecord.model_validate(json.loads(normalizer.model_dump_json()))
        assert Normalizer.of(record) == normalizer
        assert Normalizer.of(record).for_case(CASE) == normalizer.for_case(CASE)


def test_fixed_clips_subtracts_and_divides_by_what_is_written() -> None:
    config = Fixed(low=10.0, high=90.0, shift=50.0, scale=20.0)
    mapping = build_normalizer(config, NO_STATISTICS).for_case(CASE)

    result = mapping.apply(torch.from_numpy(RAMP)).ravel()

    assert result[[0, 50, 100]].tolist() == [-2.0, 0.0, 2.0]


def test_fixed_changes_nothing_by_default() -> None:
    mapping = build_normalizer(Fixed(), NO_STATISTICS).for_case(CASE)

    assert torch.equal(mapping.apply(torch.from_numpy(RAMP)), torch.from_numpy(RAMP).float())


def test_minmax_maps_each_case_to_0_and_1() -> None:
    image = np.array([3.0, 5.0, 7.0], np.float32).reshape(1, 1, 1, 3)
    mapping = build_normalizer(MinMax(), NO_STATISTICS).for_case(case_statistics(image, None))

    assert mapping.apply(torch.from_numpy(image)).ravel().tolist() == [0.0, 0.5, 1.0]


def test_by_channel_normalises_each_channel_in_its_own_way() -> None:
    image = np.concatenate([RAMP, RAMP, RAMP])
    config = ByChannel.model_validate(
        {"channels": [{"name": "minmax"}, {"name": "fixed", "scale": 50.0}, {"name": "zscore"}]}
    )
    normalizer = build_normalizer(config, NO_STATISTICS)
    restored = Normalizer.of(NormalizerRecord.model_validate(normalizer.model_dump(mode="json")))

    result = restored.for_case(case_statistics(image, None)).apply(torch.from_numpy(image))

    assert result[:, 0, 0, 100].tolist() == pytest.approx([1.0, 2.0, 50.0 / np.arange(101).std()])


@pytest.mark.parametrize(
    ("section", "bounds"),
    [
        (Percentile, {"low": 99.5, "high": 0.5}),
        (Percentile, {"low": 50.0, "high": 50.0}),
        (FixedRange, {"low": 3.0, "high": 2.0}),
        (Fixed, {"low": 200.0, "high": 10.0}),
        (ChannelNormalization, {"name": "fixed", "low": 200.0, "high": 10.0}),
    ],
)
def test_bounds_in_the_wrong_order_are_refused(
    section: type[Section], bounds: dict[str, float | str]
) -> None:
    low, high = bounds["low"], bounds["high"]

    with pytest.raises(ValidationError, match=f"low must be below high, found {low} and {high}"):
        section.model_validate(bounds)


def test_equal_bounds_of_an_imported_channel_are_taken() -> None:
    assert ChannelNormalization(name="fixed", low=1.0, high=1.0).high == 1.0


@pytest.mark.parametrize("name", ["zscore", "minmax"])
def test_bounds_that_a_channel_does_not_read_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"are those of fixed, found them in {name}"):
        ByChannel.model_validate({"channels": [{"name": name, "low": 0.0}]})


def test_by_channel_needs_the_channels_of_training() -> None:
    normalizer = build_normalizer(ByChannel.model_validate({"channels": [{}, {}]}), NO_STATISTICS)

    with pytest.raises(InputError, match="image has 1 channels, the normalisation was made for 2"):
        normalizer.for_case(CASE)
