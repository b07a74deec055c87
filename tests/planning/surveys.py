"""Surveys of data sets that tests describe instead of having them."""

from __future__ import annotations

from typing import Any

from vesuv.planning.survey import DatasetSurvey, ValueSurvey


def values(**shares: float) -> dict[int, ValueSurvey]:
    """Return the survey of label values: values(v0=0.9, v1=0.1)."""
    return {
        int(name[1:]): ValueSurvey(share=share, border_share=share, case_share=1.0)
        for name, share in shares.items()
    }


def survey(**changes: Any) -> DatasetSurvey:
    """Return the survey of ten cubic cases of two label values, but for the changes."""
    fields: dict[str, Any] = {
        "num_cases": 10,
        "num_read": 10,
        "shape": (125, 125, 125),
        "spacing": (1.0, 1.0, 1.0),
        "spacing_low": (1.0, 1.0, 1.0),
        "spacing_high": (1.0, 1.0, 1.0),
        "dtype": "uint8",
        "intensity_low": 20.0,
        "intensity_low_max": 30.0,
        "intensity_high": 200.0,
        "values": values(v0=0.9, v1=0.1),
    }
    return DatasetSurvey(**fields | changes)
