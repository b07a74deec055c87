"""Settings that all masks of a folder share, as its provenance.json states them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vesuv.config.former_keys import with_present_names
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.runs.fields import Record


class RunSettings(Record):
    """A checkpoint and its weight."""

    checkpoint_sha256: str
    weight: float = 1.0


class ThresholdSettings(Record):
    """Thresholds."""

    value: float | dict[str, float | None] | None
    """Of several classes each by its name."""


class StepsSettings(Record):
    """Post-processing."""

    steps: list[dict[str, Any]] | dict[str, list[dict[str, Any]]]
    """Of several classes each by its name."""


def _complete_inference(section: Any) -> Any:
    """Add what a record of an earlier version took for granted, under present names."""
    section = with_present_names(section)
    return {"average": "probabilities", **section} if isinstance(section, dict) else section


def _complete_labels(section: Any) -> Any:
    """Add what a record of an earlier version did not know."""
    regions = {"regions": None, "regions_class_order": None}
    return regions | section if isinstance(section, dict) else section


class PredictionSettings(Record):
    """Settings that all masks of a folder share."""

    runs: tuple[RunSettings, ...]
    threshold: ThresholdSettings
    postprocess: StepsSettings
    inference: Annotated[dict[str, Any], BeforeValidator(_complete_inference)]
    spacing: tuple[float, ...] | None
    labels: Annotated[dict[str, Any], BeforeValidator(_complete_labels)]
    spacing_unit: str | None = None
    probabilities: bool = False
    uncertainty: bool = False
    calibrated: bool = False
    temperature: tuple[float, ...] | None = None
    blocks: dict[str, Any] = Field(default_factory=BlockSettings().record)
    """Of predictions in blocks; a record of an earlier version has the defaults."""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> PredictionSettings:
        """Return the settings of the result of `vesuv.inference.provenance.provenance`."""
        return cls.model_validate(json.loads(json.dumps(content, default=str)))

    def difference(self, other: PredictionSettings) -> str | None:
        """Return a setting in which `other` differs, in words; None where all are equal."""
        digests = [[run.checkpoint_sha256 for run in one.runs] for one in (self, other)]
        if digests[0] != digests[1]:
            return "other runs or checkpoints"
        if self.runs != other.runs:
            return "other weights"
        mine, theirs = _by_dotted_key(self), _by_dotted_key(other)
        for key in {**mine, **theirs}:
            if mine.get(key) != theirs.get(key):
                return f"{key} {mine.get(key)!r:.60}, now {theirs.get(key)!r:.60}"
        return None


def _by_dotted_key(settings: PredictionSettings) -> dict[str, Any]:
    """Return settings by name, such as threshold or inference.precision."""
    plain = settings.model_dump(include=set(PredictionSettings.model_fields) - {"runs"})
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        is_section = isinstance(value, dict) and len(value) > 1
        if is_section:
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = next(iter(value.values()), None) if isinstance(value, dict) else value
    return flat
