"""What a diagnosis says: one finding, and the file that findings are kept in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

VERSION = 1
FILE = "diagnosis.json"

Severity = Literal["trouble", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something that is the matter with a run."""

    name: str
    """The finding's key, as in `vesuv.diagnosis.FINDINGS`."""
    title: str
    """What is the matter, in a few words."""
    evidence: str
    """What shows it, with numbers and epochs."""
    remedy: str
    """What to do, with the key to change where there is one."""
    severity: Severity
    """trouble: the run will not come to much; warning: a result that may mislead or be bettered."""
    epochs: tuple[int, int]
    """First and last epoch that the evidence is from."""
    numbers: dict[str, float] = field(default_factory=dict)
    """The figures of the evidence by name."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {**asdict(self), "epochs": list(self.epochs)}


def show(findings: Iterable[Finding]) -> list[str]:
    """Return the lines in which findings are said: one of what and why, one of what to do."""
    return [
        line
        for finding in findings
        for line in (
            f"{finding.severity.capitalize()}: {finding.title} ({finding.name}). "
            f"{finding.evidence}",
            f"  -> {finding.remedy}",
        )
    ]


def write(folder: Path, epoch: int, findings: Sequence[Finding]) -> Path:
    """Write diagnosis.json into a run folder, whole or not at all.

    Args:
        folder: The run's folder.
        epoch: Epoch that the findings are as of.
        findings: What was found.
    """
    path = folder / FILE
    content = {"version": VERSION, "epoch": epoch, "findings": [f.as_dict() for f in findings]}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read(folder: Path) -> tuple[Finding, ...]:
    """Read diagnosis.json of a run folder.

    Raises:
        ValueError: It is not there, or not what `write` wrote.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        return tuple(
            Finding(**{**each, "epochs": tuple(each["epochs"])}) for each in content["findings"]
        )
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ValueError(f"{path}: not findings of this vesuv: {fault}") from None
