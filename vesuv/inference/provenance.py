"""Record of all settings of a prediction, so that it can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vesuv.config.labels import LabelsConfig, Targets
from vesuv.config.postprocess import plain_chain
from vesuv.data.content_digests import content_digest, files_in
from vesuv.errors import InputError
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.members import Member, file_digest
from vesuv.inference.predictor import Predictor
from vesuv.io.tables import read_json
from vesuv.runs.software import software

PROVENANCE = "provenance.json"


def provenance(
    members: Sequence[Member],
    predictor: Predictor,
    mask: ChosenMask,
    *,
    probabilities: bool = False,
    uncertainty: bool = False,
    calibrated: bool = False,
) -> dict[str, Any]:
    """Return the settings of a prediction, which provenance.json records.

    Args:
        members: Checkpoints.
        predictor: Networks and settings of the checkpoints.
        mask: Threshold and post-processing.
        probabilities: Whether probabilities are written too.
        uncertainty: Whether uncertainty is written too.
        calibrated: Whether the written probabilities are calibrated.
    """
    config, machine = predictor.config, predictor.machine
    targets, cuts = mask.settings.targets, mask.settings.cuts
    weights = predictor.weights or (1.0,) * len(members)
    domain = predictor.domain
    return {
        "runs": [
            {**_member_record(one), "weight": weight}
            for one, weight in zip(members, weights, strict=True)
        ],
        "threshold": {
            "value": _of_targets(targets, [cut.threshold for cut in cuts]),
            "why": mask.threshold_reason,
        },
        "postprocess": {
            "steps": _of_targets(targets, [plain_chain(cut.chain) for cut in cuts]),
            "why": mask.chain_reason,
        },
        "inference": {
            **predictor.inference.model_dump(exclude={"postprocess", "compile"}, exclude_none=True),
            **({"compile": "on"} if predictor.inference.compile == "on" else {}),
            "window": "gaussian",
            "precision": machine.precision,
            "device": str(machine.device),
        },
        "spacing": config.data.spacing,
        "labels": config.labels.model_dump(mode="json"),
        "spacing_unit": domain.training.unit if domain else None,
        "probabilities": probabilities,
        "uncertainty": uncertainty,
        "calibrated": calibrated,
        "temperature": predictor.temperatures if calibrated else None,
        "threads": machine.threads,
        "software": software(),
    }


def predicted_labels(folder: Path) -> LabelsConfig | None:
    """Return the label values of a folder's masks; None where no provenance.json names them.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / PROVENANCE
    if not path.exists():
        return None
    content = read_json(path)
    if "labels" not in content:
        return None
    try:
        return LabelsConfig.model_validate(content["labels"])
    except ValidationError as fault:
        rule = fault.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: labels: {rule}; predict again") from None


def _of_targets(targets: Targets, values: Sequence[Any]) -> Any:
    """Return the value of the only class, or of several classes each by its name."""
    return dict(zip(targets.names, values, strict=True)) if targets.has_several else values[0]


def _member_record(one: Member) -> dict[str, Any]:
    checkpoint, targets = one.checkpoint, one.config.labels.targets
    of_bundle = {} if one.bundle_files is None else {"bundle_files": dict(one.bundle_files)}
    return {
        "run": one.folder.resolve(),
        **of_bundle,
        "checkpoint": one.name,
        "checkpoint_sha256": one.sha256,
        "epoch": checkpoint.epoch,
        "selected_threshold": _of_targets(targets, [one.threshold(n) for n in targets.names]),
        "postprocess": _of_targets(
            targets, [plain_chain(one.postprocess(n)) for n in targets.names]
        ),
        "patch_size": checkpoint.config.sampling.patch_size,
        "normalizer": checkpoint.normalizer.model_dump(mode="json"),
        "model": checkpoint.config.model.model_dump(mode="json"),
    }


def file_record(path: Path) -> dict[str, Any]:
    """Return path, size and digest; of a .zarr folder a digest over all its files."""
    if path.is_dir():
        num_bytes = sum(part.stat().st_size for part in files_in(path).values())
        return {"path": path.resolve(), "bytes": num_bytes, "content": content_digest(path)}
    return {
        "path": path.resolve(),
        "bytes": path.stat().st_size,
        "sha256": file_digest(path),
    }
